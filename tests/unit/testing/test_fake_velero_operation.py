"""What Velero concludes from the answers about an operation."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.errors import PermanentError
from velero_py_plugin.plugin.kinds import OperationProgress, ResourceIdentifier
from velero_py_plugin.testing.fake_velero.operation import Operation

ITEM = ResourceIdentifier("", "persistentvolumeclaims", "app", "data")
STARTED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Plugin:
    """Answers with what it was given."""

    def __init__(self, answer: OperationProgress | PermanentError, cancel_error: PermanentError | None = None) -> None:
        self._answer = answer
        self._cancel_error = cancel_error
        self.canceled: list[str] = []

    def progress(self, operation_id: str, owner: dict[str, Any], /) -> OperationProgress:
        if isinstance(self._answer, PermanentError):
            raise self._answer
        return self._answer

    def cancel(self, operation_id: str, owner: dict[str, Any], /) -> None:
        self.canceled.append(operation_id)
        if self._cancel_error:
            raise self._cancel_error


def look(plugin: Plugin, timeout: float = 60) -> Operation:
    operation = Operation("example.io/a", ITEM, "du-1")
    operation.look(plugin, {}, timeout)
    return operation


@pytest.mark.parametrize(
    ("answer", "phase", "error"),
    [
        (OperationProgress(), "New", ""),
        (OperationProgress(error="not looked at yet"), "New", ""),
        (OperationProgress(started=STARTED), "InProgress", ""),
        (OperationProgress(completed=True), "Completed", ""),
        (OperationProgress(completed=True, error="disk"), "Failed", "disk"),
        (PermanentError("gone"), "Failed", "gone"),
    ],
)
def test_an_answer_decides_the_phase(answer: OperationProgress | PermanentError, phase: str, error: str) -> None:
    plugin = Plugin(answer)
    operation = look(plugin)
    assert (operation.phase, operation.error) == (phase, error)
    assert operation.running is (phase in {"New", "InProgress"})
    assert plugin.canceled == []


@pytest.mark.parametrize(
    ("cancel_error", "error"),
    [
        (None, "Asynchronous action timed out"),
        (PermanentError("no"), "Asynchronous action timed out; cancel failed as well: no"),
    ],
)
def test_an_operation_that_takes_too_long_is_canceled_and_failed(
    cancel_error: PermanentError | None, error: str
) -> None:
    plugin = Plugin(OperationProgress(started=STARTED), cancel_error)
    operation = look(plugin, timeout=-1)
    assert (operation.phase, operation.error, plugin.canceled) == ("Failed", error, ["du-1"])


@given(st.booleans(), st.text(), st.booleans())
def test_an_operation_that_ended_is_never_canceled(completed: bool, error: str, late: bool) -> None:
    plugin = Plugin(OperationProgress(completed=completed, error=error))
    operation = look(plugin, timeout=-1 if late else 60)
    assert plugin.canceled == (["du-1"] if late and not completed else [])
    assert operation.running is (not completed and not late)
