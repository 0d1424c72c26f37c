"""Streams of bytes made of contents: writing, indirect indexes, reading."""
