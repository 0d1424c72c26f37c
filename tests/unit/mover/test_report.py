from __future__ import annotations

import io
import json
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from velero_py_plugin import errors
from velero_py_plugin.api.mover import ExitCode, MoverResult
from velero_py_plugin.kopia import errors as kopia_errors
from velero_py_plugin.mover import report
from velero_py_plugin.mover.report import Reporter


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """Gives signals back to pytest; a mover's process keeps them to its end."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_the_last_state_is_printed_and_then_the_result() -> None:
    output = io.StringIO()
    reporter = Reporter(output)
    with reporter.running():
        reporter.progress.add_total(files=2, size=100)
        reporter.progress.add(files=1, bytes_read=30, bytes_reused=10)
    reporter.result(MoverResult("completed", snapshot_id="x", files=1))
    progress, result = lines(output)
    assert progress == {"type": "progress", "bytes_done": 40, "total_bytes": 100, "files_done": 1, "total_files": 2}
    assert (result["type"], result["outcome"], result["snapshot_id"], result["files"]) == (
        "result",
        "completed",
        "x",
        1,
    )


def test_done_is_never_more_than_all_although_counting_lags_behind() -> None:
    output = io.StringIO()
    reporter = Reporter(output)
    with reporter.running():
        reporter.progress.add(files=3, bytes_read=30)
    assert lines(output) == [
        {"type": "progress", "bytes_done": 30, "total_bytes": 30, "files_done": 3, "total_files": 3}
    ]


def test_progress_is_printed_while_the_move_runs_and_only_when_there_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_INTERVAL", 0.01)
    output = io.StringIO()
    reporter = Reporter(output)
    with reporter.running():
        for count in (1, 2):
            reporter.progress.add(files=1)
            deadline = time.monotonic() + 10
            while not lines(output) or lines(output)[-1]["files_done"] < count:
                assert time.monotonic() < deadline
    assert [line["files_done"] for line in lines(output)] in ([0, 1, 2], [1, 2])


def test_the_last_state_is_printed_even_when_the_move_fails() -> None:
    output = io.StringIO()
    reporter = Reporter(output)

    def fail() -> None:
        with reporter.running():
            reporter.progress.add(files=1)
            raise kopia_errors.SourceError("gone")

    with pytest.raises(kopia_errors.SourceError):
        fail()
    assert lines(output)[-1]["files_done"] == 1
    assert "progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (kopia_errors.CanceledError("stop"), ExitCode.CANCELED, ("canceled", "Canceled", False)),
        (kopia_errors.SourceError("bad"), ExitCode.FAILED, ("failed", "SourceUnreadable", False)),
        (kopia_errors.StorageUnavailableError("later"), ExitCode.TEMPORARY, ("failed", "StorageUnavailable", True)),
        (kopia_errors.RepositoryLockedError("later"), ExitCode.TEMPORARY, ("failed", "RepositoryLocked", True)),
        (errors.UsageError("word"), ExitCode.USAGE, ("failed", "InvalidArgument", False)),
    ],
)
def test_every_kind_of_end_has_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: errors.Error, code: ExitCode, expected: tuple[str, str, bool]
) -> None:
    def move(reporter: Reporter) -> MoverResult:
        raise error

    assert report.run(move) == code
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["outcome"], result["reason"], result["temporary"]) == expected
    assert result["message"] == str(error)


def test_success_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.run(lambda _: MoverResult("completed", snapshot_id="x")) == ExitCode.COMPLETED
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["snapshot_id"] == "x"


def test_an_error_nobody_foresaw_is_not_hidden() -> None:
    def move(reporter: Reporter) -> MoverResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        report.run(move)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_only_sets_the_flag(capsys: pytest.CaptureFixture[str], number: int) -> None:
    def move(reporter: Reporter) -> MoverResult:
        assert not reporter.canceled.is_set()
        signal.raise_signal(number)
        signal.raise_signal(number)  # twice is not worse
        assert reporter.canceled.wait(10)
        raise kopia_errors.CanceledError("stopped")

    assert report.run(move) == ExitCode.CANCELED
