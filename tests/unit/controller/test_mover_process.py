"""One mover process: its lines, its ends, and the ones an earlier controller left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.controller.environment import eventually
from velero_py_plugin.api.mover import Progress
from velero_py_plugin.controller.errors import MoverStartError
from velero_py_plugin.controller.exposer.exposer import MoverEnded, MoverLost, MoverRunning, MoverState
from velero_py_plugin.controller.exposer.mover_process import MoverProcess, kill_orphan


class Movers:
    """Starts Python programs as movers and ends them after the test."""

    def __init__(self) -> None:
        self.started: list[MoverProcess] = []

    def start(self, body: str, cancel_grace: float = 10.0) -> MoverProcess:
        arguments = [sys.executable, "-S", "-E", "-c", body]
        mover = MoverProcess(arguments, environment={"TOLD": "this only"}, name="test", cancel_grace=cancel_grace)
        self.started.append(mover)
        return mover


@pytest.fixture
def movers() -> Iterator[Movers]:
    movers = Movers()
    yield movers
    for mover in movers.started:
        mover.end()


def end_of(mover: MoverProcess) -> MoverState:
    eventually(lambda: not isinstance(mover.state(), MoverRunning))
    return mover.state()


def test_reports_progress_and_result_and_ignores_the_rest(movers: Movers, tmp_path: Path) -> None:
    go = tmp_path / "go"
    mover = movers.start(f"""
import os, time
print("not JSON")
print("[1, 2]")
print('{{"type": "progress"}}')
print('{{"type": "greeting"}}')
print('{{"type": "progress", "bytes_done": 1, "total_bytes": 2, "files_done": 0, "total_files": 0}}', flush=True)
while not os.path.exists({str(go)!r}): time.sleep(0.002)
print('{{"type": "result", "outcome": "completed", "snapshot_id": "m1", "from_the_future": 1}}')
""")
    eventually(lambda: mover.state() == MoverRunning(Progress(1, 2)))
    go.touch()
    state = end_of(mover)
    assert isinstance(state, MoverEnded)
    assert (state.result.outcome, state.result.snapshot_id) == ("completed", "m1")


def test_gets_exactly_the_environment_it_is_given(movers: Movers) -> None:
    mover = movers.start("import os, sys\nsys.exit(' '.join(k + '=' + v for k, v in os.environ.items()))")
    state = end_of(mover)
    assert isinstance(state, MoverLost)
    assert "TOLD=this only" in state.message
    assert "PATH=" not in state.message


def test_keeps_only_the_last_words(movers: Movers) -> None:
    state = end_of(movers.start("import sys\nfor n in range(1000): print('x' * 500, n, file=sys.stderr)\nsys.exit(1)"))
    assert isinstance(state, MoverLost)
    assert state.message.endswith(" 999")
    assert len(state.message) < 1200


def test_no_words_at_all(movers: Movers) -> None:
    state = end_of(movers.start("import os\nos._exit(9)"))
    assert state == MoverLost("the mover ended with exit code 9 without a result. It left no words on standard error.")


def test_a_result_counts_even_if_the_process_is_killed_after_it(movers: Movers) -> None:
    state = end_of(
        movers.start("""
import os, signal
print('{"type": "result", "outcome": "completed", "snapshot_id": "m1"}', flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""")
    )
    assert isinstance(state, MoverEnded)


def test_a_child_that_keeps_the_pipes_open_holds_nobody_up(movers: Movers, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    mover = movers.start(f"""
import os, time
pid = os.fork()
if pid == 0:
    time.sleep(60)
open({str(pid_file)!r}, "w").write(str(pid))
os._exit(4)
""")
    began = time.monotonic()
    try:
        assert isinstance(end_of(mover), MoverLost)
        assert time.monotonic() - began < 5
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_stop_asks_first_and_kills_later(movers: Movers) -> None:
    mover = movers.start(
        """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", file=sys.stderr, flush=True))
print('{"type": "progress", "bytes_done": 1, "total_bytes": 2}', flush=True)
while True: time.sleep(0.002)
""",
        cancel_grace=0.1,
    )
    eventually(lambda: mover.state() == MoverRunning(Progress(1, 2)))
    mover.stop()
    mover.stop()
    assert isinstance(mover.state(), MoverRunning)

    def gone() -> bool:
        mover.stop()
        return not isinstance(mover.state(), MoverRunning)

    eventually(gone)
    state = mover.state()
    assert isinstance(state, MoverLost)
    assert state.message == "the mover was killed by SIGKILL without a result. Its last words: asked"


def test_an_executable_that_does_not_exist() -> None:
    with pytest.raises(MoverStartError, match="/does/not/exist"):
        MoverProcess(["/does/not/exist"], environment={}, name="test", cancel_grace=1)


def test_kills_the_orphan_that_bears_the_mark() -> None:
    orphan = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)", "the-mark"])
    try:
        # Until it has executed the new program, its arguments are still ours.
        eventually(lambda: b"the-mark" in Path(f"/proc/{orphan.pid}/cmdline").read_bytes())
        assert not kill_orphan(orphan.pid, "another-mark")
        assert orphan.poll() is None
        assert kill_orphan(orphan.pid, "the-mark")
        assert orphan.wait() == -signal.SIGKILL
        assert not kill_orphan(orphan.pid, "the-mark")
    finally:
        orphan.kill()
        orphan.wait()
