"""The queue: one thread per key, any number of changes for one look, delays and back-off."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.unit.controller.environment import eventually
from velero_py_plugin import errors
from velero_py_plugin.controller.work_queue import WorkQueue


@pytest.fixture
def queue() -> Iterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue("test", workers=3, error_delay=0.001)
    yield queue
    queue.stop()


def test_looks_at_what_was_added_before_and_after_the_start(queue: WorkQueue[str]) -> None:
    seen: list[str] = []
    queue.add("before")
    queue.start(seen.append)
    queue.add("after")
    eventually(lambda: sorted(seen) == ["after", "before"])


def test_a_key_is_with_one_thread_at_a_time_and_changes_are_not_lost(queue: WorkQueue[str]) -> None:
    entered, go = threading.Event(), threading.Event()
    looks: list[int] = []
    inside = 0

    def reconcile(_key: str) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        looks.append(inside)
        entered.set()
        go.wait()
        inside -= 1

    queue.start(reconcile)
    queue.add("key")
    entered.wait()
    for _ in range(100):
        queue.add("key")
    assert looks == [1]
    go.set()
    eventually(lambda: len(looks) == 2)
    assert looks == [1, 1]


def test_keys_run_side_by_side(queue: WorkQueue[str]) -> None:
    together = threading.Barrier(3, timeout=5)
    met: list[str] = []

    def reconcile(key: str) -> None:
        together.wait()
        met.append(key)

    queue.start(reconcile)
    for key in "abc":
        queue.add(key)
    eventually(lambda: sorted(met) == ["a", "b", "c"])


def test_a_look_can_ask_for_the_next_one(queue: WorkQueue[str]) -> None:
    times: list[float] = []

    def reconcile(_key: str) -> float | None:
        times.append(time.monotonic())
        return 0.03 if len(times) < 3 else None

    queue.start(reconcile)
    queue.add("key")
    eventually(lambda: len(times) == 3)
    assert times[1] - times[0] >= 0.03
    assert times[2] - times[1] >= 0.03


def test_an_earlier_appointment_comes_first_and_only_once(queue: WorkQueue[str]) -> None:
    seen: list[str] = []
    queue.start(seen.append)
    queue.add("late", 3600)
    queue.add("late", 7200)
    queue.add("late")
    queue.add("late", 3600)
    queue.add("end")
    eventually(lambda: "end" in seen and "late" in seen)
    assert sorted(seen) == ["end", "late"]


class AwayError(errors.TemporaryError):
    reason = "Away"


@pytest.mark.parametrize(
    ("failure", "words", "trace"),
    [(AwayError("no answer."), "Away: no answer.", False), (ZeroDivisionError("oops"), "unexpected error", True)],
)
def test_errors_are_logged_and_tried_again(
    queue: WorkQueue[str], caplog: pytest.LogCaptureFixture, failure: Exception, words: str, *, trace: bool
) -> None:
    times: list[float] = []

    def reconcile(_key: str) -> None:
        times.append(time.monotonic())
        if len(times) < 5:
            raise failure

    with caplog.at_level(logging.WARNING):
        queue.start(reconcile)
        queue.add("key")
        eventually(lambda: len(times) == 5)
    assert times[4] - times[3] >= 0.008, "each pause is twice as long as the one before"
    assert words in caplog.text
    assert (caplog.records[0].exc_info is not None) == trace


def test_stop_finishes_what_runs_and_drops_the_rest(queue: WorkQueue[str]) -> None:
    entered, go = threading.Event(), threading.Event()
    done: list[str] = []

    def reconcile(key: str) -> None:
        entered.set()
        go.wait()
        done.append(key)

    queue.start(reconcile)
    queue.add("now")
    entered.wait()
    queue.add("later", 3600)
    stopper = threading.Thread(target=queue.stop)
    stopper.start()
    go.set()
    stopper.join()
    assert done == ["now"]


def test_a_key_added_by_its_own_look_is_taken_again_at_once() -> None:
    single: WorkQueue[str] = WorkQueue("single", workers=1, error_delay=1)
    order: list[str] = []
    steps: list[Callable[[], None]] = [lambda: single.add("a"), lambda: None]

    def reconcile(key: str) -> None:
        order.append(key)
        if key == "a" and steps:
            steps.pop(0)()

    single.start(reconcile)
    single.add("a")
    eventually(lambda: order == ["a", "a"])
    single.stop()
