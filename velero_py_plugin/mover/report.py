"""What a mover tells the outside: lines on standard output, cancellation by signal, an exit code."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

import orjson

from velero_py_plugin import errors
from velero_py_plugin.api import mover as mover_api
from velero_py_plugin.kopia import errors as kopia_errors
from velero_py_plugin.kopia.snapshot import progress as kopia_progress

_INTERVAL: Final = 1.0  # seconds between two progress lines


class Reporter:
    """Prints progress while a move runs, and its result at the end.

    Args:
        output: Where the lines go.

    Attributes:
        progress: Counters for the move to fill.
        canceled: Set when the move shall stop.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._ended = threading.Event()
        self._last: mover_api.Progress | None = None
        self.progress = kopia_progress.Progress()
        self.canceled = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Prints a line a second while the block runs, when there is news, and the last state after it."""
        thread = threading.Thread(target=self._print_periodically, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self._print_progress()

    def result(self, result: mover_api.MoverResult) -> None:
        """Prints the last line."""
        self._print(result.to_json())

    def _print_periodically(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self._print_progress()

    def _print_progress(self) -> None:
        counters = self.progress
        bytes_done = counters.bytes_read + counters.bytes_reused
        now = mover_api.Progress(
            bytes_done=bytes_done,
            # The scan that counts the total may lag behind the work.
            total_bytes=max(counters.total_bytes, bytes_done),
            files_done=counters.files,
            total_files=max(counters.total_files, counters.files),
        )
        if now != self._last:
            self._last = now
            self._print(now.to_json())

    def _print(self, line: dict[str, Any]) -> None:
        self._output.write(orjson.dumps(line).decode() + "\n")
        self._output.flush()


def run(move: Callable[[Reporter], mover_api.MoverResult]) -> mover_api.ExitCode:
    """Runs a move as a process: reports, obeys SIGTERM and SIGINT, and says how to exit.

    Args:
        move: The work; raises the errors of this project.
    """
    reporter = Reporter(sys.stdout)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: reporter.canceled.set())
    try:
        with reporter.running():
            result = move(reporter)
    except kopia_errors.CanceledError as error:
        reporter.result(mover_api.MoverResult("canceled", reason=error.reason, message=str(error)))
        return mover_api.ExitCode.CANCELED
    except errors.Error as error:
        temporary = isinstance(error, errors.TemporaryError)
        reporter.result(mover_api.MoverResult("failed", reason=error.reason, message=str(error), temporary=temporary))
        if isinstance(error, errors.UsageError):
            return mover_api.ExitCode.USAGE
        return mover_api.ExitCode.TEMPORARY if temporary else mover_api.ExitCode.FAILED
    reporter.result(result)
    return mover_api.ExitCode.COMPLETED
