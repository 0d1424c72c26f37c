"""Labelled JSON documents: snapshots, policies, maintenance parameters."""
