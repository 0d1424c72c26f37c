"""Counters of a running upload or restore, written by its threads and read by whoever shows them."""

from __future__ import annotations

import threading


class Progress:
    """How far an upload or restore is; all counts only grow.

    Attributes:
        files: Files finished.
        bytes_read: Bytes read from changed files (upload), or written (restore).
        bytes_reused: Bytes of files taken from the previous snapshot without reading.
        total_files: Files to handle, as far as known.
        total_bytes: Bytes to handle, as far as known.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.files = 0
        self.bytes_read = 0
        self.bytes_reused = 0
        self.total_files = 0
        self.total_bytes = 0

    def add(self, *, files: int = 0, bytes_read: int = 0, bytes_reused: int = 0) -> None:
        """Counts work that is done."""
        with self._lock:
            self.files += files
            self.bytes_read += bytes_read
            self.bytes_reused += bytes_reused

    def add_total(self, *, files: int = 0, size: int = 0) -> None:
        """Counts work that was found."""
        with self._lock:
            self.total_files += files
            self.total_bytes += size
