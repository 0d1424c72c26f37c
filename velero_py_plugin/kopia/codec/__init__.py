"""Bytes to bytes: hashing, encryption, compression, splitting, and JSON exactly as Go writes it."""
