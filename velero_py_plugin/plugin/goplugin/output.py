"""Keeps a plugin's standard output and standard error for the host's own purposes.

A host reads one handshake line from standard output, log lines from standard error, and takes a process for ended only
when both pipes are at their end. So nothing else may write there, no subprocess may inherit them, and still no output
may be lost: file descriptors 1 and 2 are pointed at a pipe of our own, whose lines go to a callback.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

MAX_LINE_BYTES: Final = 16 * 1024
"""Longer output lines arrive in pieces of this size."""
DRAIN_SECONDS: Final = 0.2
"""How long ``restore`` waits for output that a surviving subprocess may still hold back."""


class OutputGuard:
    """Takes the process's standard output and standard error away from everybody else.

    The originals stay open under other numbers that subprocesses do not inherit.

    Attributes:
        log_fd: The original standard error, for log lines.

    Args:
        stdout_fd: File descriptor to take over as standard output.
        stderr_fd: File descriptor to take over as standard error.
    """

    def __init__(self, *, stdout_fd: int = 1, stderr_fd: int = 2) -> None:
        self._handshake_fd = os.dup(stdout_fd)
        self.log_fd = os.dup(stderr_fd)
        self._taken = {stdout_fd: self._handshake_fd, stderr_fd: self.log_fd}
        self._read_fd, write_fd = os.pipe()
        for fd in self._taken:
            os.dup2(write_fd, fd)
        os.close(write_fd)
        self._reader: threading.Thread | None = None

    def announce(self, line: bytes) -> None:
        """Writes the handshake line to the original standard output, in one piece."""
        os.write(self._handshake_fd, line)

    def forward(self, on_line: Callable[[str], None]) -> None:
        """Starts passing on what is printed.

        Args:
            on_line: Called from a thread of the guard with each line that anything in this process, or a subprocess,
                prints. Must neither print nor raise.
        """
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(
                line_buffering=True
            )  # a pipe is buffered by the block otherwise, and lines come late
        self._reader = threading.Thread(target=self._read, args=(on_line,), name="output-guard", daemon=True)
        self._reader.start()

    def restore(self) -> None:
        """Gives the file descriptors back after passing on what was printed last."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or never there
                stream.flush()
        for fd, original in self._taken.items():
            os.dup2(original, fd)
        if self._reader is not None:
            self._reader.join(DRAIN_SECONDS)
        for original in self._taken.values():
            os.close(original)

    def _read(self, on_line: Callable[[str], None]) -> None:
        with open(self._read_fd, "rb") as stream:
            while line := stream.readline(MAX_LINE_BYTES):
                if text := line.decode("utf-8", "replace").rstrip():
                    on_line(text)
