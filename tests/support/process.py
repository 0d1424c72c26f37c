"""Servers that tests need, as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import pytest

START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 2.0


class Process:
    """A running server; leaving the context ends it and whatever it has started.

    It is in a session of its own: an interrupt from the keyboard reaches the tests, which end it in their order.

    Args:
        log: File that takes all its output; its name is the server's.
        command: Executable and arguments.
        environ: Its whole environment; that of the tests when None.
        cwd: Where it runs.
        grace: Seconds to end in good order after SIGTERM, before it is killed.
    """

    def __init__(
        self,
        log: Path,
        command: Sequence[str | Path],
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace: float = _GRACE_SECONDS,
    ) -> None:
        self.log = log
        self._grace = grace
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until the server has got somewhere; fails the test when it ends first or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if self._ended() or time.monotonic() > deadline:
                pytest.fail(f"{self.log.stem} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ends the server and the processes that it leaves behind."""
        if self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        while not self._ended() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        # Before it is waited for: until then no other process group can have its number.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def free_port() -> int:
    """Chooses a free port of 127.0.0.1, outside the range from which systems take the ports of outgoing connections."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("1000 ports of 127.0.0.1 are in use")


def find_peers(script: str, *names: str) -> Path:
    """Finds binaries of real peers; without them the test is skipped, or fails where peers are required.

    Args:
        script: What builds them, below ``tests/peers``.
        names: Files in the folder of binaries.

    Returns:
        The folder.
    """
    binaries = Path(os.environ.get("PEERS_BIN") or Path.home() / ".cache/velero-py-plugin/peers/bin")
    if missing := [name for name in names if not (binaries / name).exists()]:
        leave_out(f"missing {', '.join(missing)}: build them with tests/peers/{script}")
    return binaries


def leave_out(reason: str) -> NoReturn:
    """Skips the test, or fails it where everything is required."""
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
