"""The claim's backup action against an API server."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.unit.actions.sample import BACKUP, CLAIM, UPLOAD, changed, owned
from velero_py_plugin.actions.errors import DuplicateOperationError, OperationMissingError
from velero_py_plugin.actions.pvc_backup import PVCBackupAction
from velero_py_plugin.api.names import data_upload_operation_id
from velero_py_plugin.api.resource import DATA_UPLOAD
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import ApiUnavailableError, ForbiddenError
from velero_py_plugin.plugin.kinds import (
    BackupItemActionRequest,
    BackupItemActionResult,
    ResourceIdentifier,
    ResourceSelector,
)
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

UNCHANGED = BackupItemActionResult()


@pytest.fixture
def action(kube: KubeClient) -> PVCBackupAction:
    return PVCBackupAction(lambda: kube)


@pytest.fixture
def upload(kube: KubeClient, backup: dict[str, Any]) -> dict[str, Any]:
    return kube.create(DATA_UPLOAD, owned(UPLOAD, backup))


@pytest.fixture
def operation_id(backup: dict[str, Any]) -> str:
    return data_upload_operation_id(backup["metadata"]["uid"], CLAIM["metadata"]["uid"])


def execute(action: PVCBackupAction, backup: dict[str, Any], item: dict[str, Any] = CLAIM) -> BackupItemActionResult:
    return action.execute(BackupItemActionRequest(item, backup))


def no_cluster() -> KubeClient:
    raise AssertionError


def test_it_applies_to_claims() -> None:
    assert PVCBackupAction().applies_to() == ResourceSelector(included_resources=("persistentvolumeclaims",))


def test_the_upload_becomes_the_claims_operation(
    action: PVCBackupAction, upload: dict[str, Any], operation_id: str, backup: dict[str, Any]
) -> None:
    name = upload["metadata"]["name"]
    assert execute(action, backup) == BackupItemActionResult(
        item=changed(CLAIM, "metadata / annotations / velero.io/data-upload-name", f"velero/{name}"),
        operation_id=operation_id,
        post_operation_items=(ResourceIdentifier("velero.io", "datauploads", "velero", name),),
    )


@pytest.mark.parametrize(
    ("item", "backup"),
    [
        (changed(CLAIM, "metadata / annotations", None), BACKUP),
        (changed(CLAIM, "metadata / annotations / velero.io/volume-snapshot-name", None), BACKUP),
        (CLAIM, changed(BACKUP, "spec / snapshotMoveData", True)),
        (CLAIM, changed(BACKUP, "status / phase", "Finalizing")),
        (CLAIM, changed(BACKUP, "status / phase", "FinalizingPartiallyFailed")),
    ],
    ids=["no-annotations", "no-snapshot", "velero-moves", "finalizing", "finalizing-partially-failed"],
)
def test_what_is_not_ours_is_left_alone_without_asking(item: dict[str, Any], backup: dict[str, Any]) -> None:
    assert execute(PVCBackupAction(no_cluster), backup, item) == UNCHANGED


def test_a_missing_upload_fails_the_backup_in_part(
    action: PVCBackupAction, caplog: pytest.LogCaptureFixture, backup: dict[str, Any]
) -> None:
    assert execute(action, backup) == UNCHANGED
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == "Claim app/data has no DataUpload; only its local snapshot velero-data-x7 is kept"


def test_two_uploads_of_one_claim_fail_the_item(
    action: PVCBackupAction, kube: KubeClient, backup: dict[str, Any]
) -> None:
    names = sorted(kube.create(DATA_UPLOAD, owned(UPLOAD, backup))["metadata"]["name"] for _ in range(2))
    with pytest.raises(DuplicateOperationError, match=", ".join(names)):
        execute(action, backup)


@pytest.mark.usefixtures("upload")
def test_an_unreachable_server_fails_the_item(
    action: PVCBackupAction, api: KubernetesApi, backup: dict[str, Any]
) -> None:
    api.fail_next("GET", "datauploads", 503)
    with pytest.raises(ApiUnavailableError):
        execute(action, backup)


def test_progress_follows_the_upload(
    action: PVCBackupAction, kube: KubeClient, upload: dict[str, Any], operation_id: str, backup: dict[str, Any]
) -> None:
    assert not action.progress(operation_id, backup).description
    for status, description, completed, error in (
        ({"phase": "Accepted"}, "Accepted", False, ""),
        ({"phase": "InProgress", "progress": {"bytesDone": 1, "totalBytes": 2}}, "InProgress", False, ""),
        ({"phase": "Failed", "message": "disk"}, "Failed", True, "disk"),
    ):
        kube.merge_patch(DATA_UPLOAD, upload["metadata"]["name"], {"status": status}, "velero")
        progress = action.progress(operation_id, backup)
        assert (progress.description, progress.completed, progress.error) == (description, completed, error)


def test_progress_of_a_deleted_upload_is_an_error(
    action: PVCBackupAction, operation_id: str, backup: dict[str, Any]
) -> None:
    with pytest.raises(OperationMissingError, match=operation_id):
        action.progress(operation_id, backup)


def test_progress_of_two_uploads_is_an_error(
    action: PVCBackupAction, kube: KubeClient, operation_id: str, backup: dict[str, Any]
) -> None:
    for _ in range(2):
        kube.create(DATA_UPLOAD, owned(UPLOAD, backup))
    with pytest.raises(DuplicateOperationError):
        action.progress(operation_id, backup)


@pytest.mark.usefixtures("upload")
@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_unreachable_server_does_not_end_the_operation(
    code: int, action: PVCBackupAction, api: KubernetesApi, operation_id: str, backup: dict[str, Any]
) -> None:
    api.fail_next("GET", "datauploads", code)
    progress = action.progress(operation_id, backup)
    assert (progress.completed, progress.error, progress.started) == (False, "", None)
    assert progress.description.startswith("Unknown for now: ")


@pytest.mark.usefixtures("upload")
def test_a_broken_connection_does_not_end_the_operation(
    action: PVCBackupAction, api: KubernetesApi, operation_id: str, backup: dict[str, Any]
) -> None:
    api.drop_next("GET", "datauploads", count=2)
    assert action.progress(operation_id, backup).description.startswith("Unknown for now: ")


@pytest.mark.usefixtures("upload")
def test_a_missing_permission_ends_the_operation(
    action: PVCBackupAction, api: KubernetesApi, operation_id: str, backup: dict[str, Any]
) -> None:
    api.fail_next("GET", "datauploads", 403)
    with pytest.raises(ForbiddenError):
        action.progress(operation_id, backup)


@pytest.mark.parametrize("status", [None, {"phase": "Accepted"}, {"phase": "InProgress"}, {"phase": "Canceling"}])
def test_cancel_asks_the_mover_to_stop(
    status: dict[str, Any] | None, action: PVCBackupAction, kube: KubeClient, operation_id: str, backup: dict[str, Any]
) -> None:
    upload = kube.create(DATA_UPLOAD, changed(owned(UPLOAD, backup), "status", status))
    for _ in range(2):
        action.cancel(operation_id, backup)
    after = kube.get(DATA_UPLOAD, upload["metadata"]["name"], "velero")
    assert after["spec"] == {**UPLOAD["spec"], "cancel": True}
    assert after.get("status") == upload.get("status")


@pytest.mark.parametrize("phase", ["Completed", "Failed", "Canceled"])
def test_cancel_leaves_ended_uploads_alone(
    phase: str, action: PVCBackupAction, kube: KubeClient, operation_id: str, backup: dict[str, Any]
) -> None:
    upload = kube.create(DATA_UPLOAD, changed(owned(UPLOAD, backup), "status", {"phase": phase}))
    action.cancel(operation_id, backup)
    assert kube.get(DATA_UPLOAD, upload["metadata"]["name"], "velero") == upload


def test_cancel_of_a_deleted_upload_does_nothing(
    action: PVCBackupAction, kube: KubeClient, operation_id: str, backup: dict[str, Any]
) -> None:
    action.cancel(operation_id, backup)
    assert kube.list(DATA_UPLOAD) == []
