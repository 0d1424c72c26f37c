"""What Velero is told about an operation. The calls that need a cluster are in the tests of the actions."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.actions.sample import BACKUP, UPLOAD, changed
from velero_py_plugin.actions.operation import cancel_operation, operation_progress, progress_of
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.api.resource import DATA_DOWNLOAD, DATA_UPLOAD
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.plugin.kinds import InvalidOperationIDError, OperationProgress

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def upload(**status: Any) -> dict[str, Any]:
    return changed(changed(UPLOAD, "status", status), "metadata / name", "nightly-1")


@pytest.mark.parametrize("status", [None, {}, {"progress": {}}, {"phase": "New"}, {"phase": ""}])
def test_nothing_is_reported_before_acceptance(status: dict[str, Any] | None) -> None:
    assert progress_of(DATA_UPLOAD, changed(UPLOAD, "status", status)) == OperationProgress()


def test_a_running_move_reports_its_figures() -> None:
    running = upload(
        phase="InProgress", startTimestamp="2026-01-01T00:00:00Z", progress={"bytesDone": 3, "totalBytes": 10}
    )
    assert progress_of(DATA_UPLOAD, running) == OperationProgress(
        n_completed=3, n_total=10, operation_units="Bytes", description="InProgress", started=START
    )


def test_a_completed_move_is_completed_without_error() -> None:
    done = upload(
        phase="Completed",
        message="an empty volume",
        startTimestamp="2026-01-01T00:00:00Z",
        completionTimestamp="2026-01-01T00:05:00Z",
        progress={"bytesDone": 10, "totalBytes": 10},
    )
    assert progress_of(DATA_UPLOAD, done) == OperationProgress(
        completed=True,
        n_completed=10,
        n_total=10,
        operation_units="Bytes",
        description="Completed",
        started=START,
        updated=START + datetime.timedelta(minutes=5),
    )


def test_a_failure_shows_its_message() -> None:
    progress = progress_of(DATA_UPLOAD, upload(phase="Failed", message="the volume cannot be read"))
    assert (progress.completed, progress.error) == (True, "the volume cannot be read")


@pytest.mark.parametrize("message", [None, ""])
def test_a_failure_without_message_is_no_success(message: str | None) -> None:
    progress = progress_of(DATA_UPLOAD, upload(phase="Failed", message=message))
    assert progress.completed
    assert "nightly-1" in progress.error


@pytest.mark.parametrize(
    ("resource", "error"), [(DATA_UPLOAD, "DataUpload is canceled"), (DATA_DOWNLOAD, "DataDownload is canceled")]
)
def test_a_canceled_move_failed(resource: Any, error: str) -> None:
    progress = progress_of(resource, upload(phase="Canceled"))
    assert (progress.completed, progress.error) == (True, error)


@given(st.sampled_from([*Phase, "Paused", ""]), st.text(), st.text())
def test_success_is_said_of_completed_moves_alone(phase: str, message: str, snapshot_id: str) -> None:
    progress = progress_of(DATA_UPLOAD, upload(phase=phase, message=message, snapshotID=snapshot_id))
    assert progress.completed is (phase in {"Completed", "Failed", "Canceled"})
    assert (progress.completed and not progress.error) is (phase == "Completed")


@pytest.mark.parametrize(
    "operation_id",
    [
        "",
        "du-",
        "dd-0f3c.91aa",
        "app/velero-data/2026-01-01T00:00:00Z",
        "du-a,b=c",
        "du-a in (b)",
        "du-ä",
        "du-" + 61 * "a",
    ],
)
def test_a_foreign_operation_id_asks_no_server(operation_id: str) -> None:
    def no_cluster() -> KubeClient:
        raise AssertionError

    with pytest.raises(InvalidOperationIDError):
        operation_progress(no_cluster, DATA_UPLOAD, operation_id, BACKUP)
    with pytest.raises(InvalidOperationIDError):
        cancel_operation(no_cluster, DATA_UPLOAD, operation_id, BACKUP)
