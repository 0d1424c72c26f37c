"""One mover as a child process: what it says, how it ends, and what an earlier controller left behind."""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import pathlib
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Final

from velero_py_plugin.api.mover import ExitCode, MoverResult, Progress
from velero_py_plugin.controller.errors import MoverStartError
from velero_py_plugin.controller.exposer.exposer import MoverEnded, MoverLost, MoverRunning, MoverState

logger = logging.getLogger(__name__)

_TAIL_LINES: Final = 5
_TAIL_CHARACTERS: Final = 1000
_DRAIN_SECONDS: Final = 1.0


class MoverProcess:
    """A running or ended mover.

    Args:
        arguments: Executable and arguments.
        environment: Its whole environment.
        name: The request, for log lines.
        cancel_grace: Seconds between asking it to stop and killing it.

    Raises:
        MoverStartError: The executable cannot be started.
    """

    def __init__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], name: str, cancel_grace: float
    ) -> None:
        self._name = name
        self._cancel_grace = cancel_grace
        self._asked_to_stop: float | None = None
        self._ended_at: float | None = None
        self._progress = Progress()
        self._result: MoverResult | None = None
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        try:
            # A session of its own: an interrupt from the keyboard stops the controller, which then stops its movers.
            self._process = subprocess.Popen(
                list(arguments),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise MoverStartError(f"the mover {arguments[0]} cannot be started: {error}") from error
        assert self._process.stdout is not None  # noqa: S101 - for the type checker; both are pipes
        assert self._process.stderr is not None  # noqa: S101 - as above
        self._readers = [
            threading.Thread(target=self._read_lines, args=(self._process.stdout,), name=f"{name}-out", daemon=True),
            threading.Thread(target=self._read_log, args=(self._process.stderr,), name=f"{name}-log", daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def state(self) -> MoverState:
        """Tells how it does, without waiting."""
        code = self._process.poll()
        if code is None:
            return MoverRunning(self._progress)
        if self._ended_at is None:
            self._ended_at = time.monotonic()
        # Its last lines may still be on their way. Somebody who inherited its pipes could hold them open for ever.
        if any(reader.is_alive() for reader in self._readers) and time.monotonic() < self._ended_at + _DRAIN_SECONDS:
            return MoverRunning(self._progress)
        if self._result:
            return MoverEnded(self._result)
        if code == ExitCode.TEMPORARY:
            message = f"the mover failed for now, without a result.{self._last_words()}"
            return MoverEnded(MoverResult("failed", reason="MoverFailed", message=message, temporary=True))
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return MoverLost(f"the mover {how} without a result.{self._last_words()}")

    def stop(self) -> None:
        """Asks it to stop; kills it when it was asked more than the grace time ago."""
        now = time.monotonic()
        if self._asked_to_stop is None:
            self._asked_to_stop = now
            self._process.terminate()
        elif now - self._asked_to_stop >= self._cancel_grace:
            self._process.kill()

    def end(self) -> None:
        """Ends it now if it still runs, and waits until it is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(_DRAIN_SECONDS)

    def _read_lines(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                try:
                    value = json.loads(line)
                    if value["type"] == "result":
                        self._result = MoverResult.from_json(value)
                    elif value["type"] == "progress":
                        self._progress = Progress(value["bytes_done"], value["total_bytes"])
                except (ValueError, KeyError, TypeError):
                    logger.warning("%s: the mover printed neither progress nor result: %.200s", self._name, line)

    def _read_log(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                text = line.rstrip()
                if text:
                    self._tail.append(text)
                    logger.info("%s: %s", self._name, text)

    def _last_words(self) -> str:
        text = " | ".join(self._tail)[-_TAIL_CHARACTERS:]
        return f" Its last words: {text}" if text else " It left no words on standard error."


def kill_orphan(pid: int, mark: str) -> bool:
    """Kills a mover that an earlier controller started, if the process of that id is still that mover.

    A mover may be killed at any moment: the repository stays whole, and nothing it wrote is referred to.

    Args:
        pid: The id that was recorded.
        mark: An argument that only that mover has.

    Returns:
        Whether it was running.
    """
    try:
        # The descriptor pins the process: between the look at its arguments and the signal its id cannot pass on.
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if mark.encode() not in arguments:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return True
