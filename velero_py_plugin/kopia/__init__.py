"""Kopia's repository format as a library."""
