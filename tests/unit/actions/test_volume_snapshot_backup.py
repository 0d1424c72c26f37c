"""The VolumeSnapshot's backup action against an API server."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.unit.actions.sample import BACKUP, CLAIM, CLAIM_UID, SNAPSHOT, UPLOAD, UPLOAD_OPERATION_ID, changed, owned
from velero_py_plugin.actions.volume_snapshot_backup import VolumeSnapshotBackupAction
from velero_py_plugin.api.names import data_upload_operation_id
from velero_py_plugin.api.resource import DATA_UPLOAD, PVC
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.plugin.kinds import BackupItemActionRequest, BackupItemActionResult, ResourceSelector
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

UNCHANGED = BackupItemActionResult()


@pytest.fixture
def claim(kube: KubeClient) -> dict[str, Any]:
    return kube.create(PVC, CLAIM, "app")


@pytest.fixture
def action(kube: KubeClient) -> VolumeSnapshotBackupAction:
    return VolumeSnapshotBackupAction(lambda: kube)


def execute(
    action: VolumeSnapshotBackupAction, backup: dict[str, Any], item: dict[str, Any] = SNAPSHOT
) -> BackupItemActionResult:
    return action.execute(BackupItemActionRequest(item, backup))


def uploads(kube: KubeClient) -> list[dict[str, Any]]:
    return kube.list(DATA_UPLOAD)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_it_applies_to_volume_snapshots() -> None:
    expected = ResourceSelector(included_resources=("volumesnapshots.snapshot.storage.k8s.io",))
    assert VolumeSnapshotBackupAction().applies_to() == expected


def test_it_makes_the_upload_and_starts_no_operation(
    action: VolumeSnapshotBackupAction,
    kube: KubeClient,
    claim: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    backup: dict[str, Any],
) -> None:
    assert execute(action, backup) == UNCHANGED
    [upload] = uploads(kube)
    assert upload["spec"] == UPLOAD["spec"]
    assert upload["metadata"]["name"].startswith("nightly-")
    operation_id = data_upload_operation_id(backup["metadata"]["uid"], claim["metadata"]["uid"])
    assert upload["metadata"]["labels"] == {
        **UPLOAD["metadata"]["labels"],
        "velero.io/backup-uid": backup["metadata"]["uid"],
        "velero.io/pvc-uid": claim["metadata"]["uid"],
        "velero.io/async-operation-id": operation_id,
    }
    assert errors(caplog) == []


@pytest.mark.usefixtures("claim")
def test_a_second_call_finds_the_first_ones_upload(
    action: VolumeSnapshotBackupAction, kube: KubeClient, backup: dict[str, Any]
) -> None:
    execute(action, backup)
    [first] = uploads(kube)
    assert execute(VolumeSnapshotBackupAction(lambda: kube), backup) == UNCHANGED
    assert [upload["metadata"]["uid"] for upload in uploads(kube)] == [first["metadata"]["uid"]]


@pytest.mark.usefixtures("claim")
def test_a_lost_answer_makes_no_second_upload(
    action: VolumeSnapshotBackupAction,
    kube: KubeClient,
    api: KubernetesApi,
    caplog: pytest.LogCaptureFixture,
    backup: dict[str, Any],
) -> None:
    api.drop_next("POST", "datauploads", processed=True)
    assert execute(action, backup) == UNCHANGED
    assert len(uploads(kube)) == 1
    assert errors(caplog) == []


@pytest.mark.parametrize(
    ("item", "backup"),
    [
        (SNAPSHOT, changed(BACKUP, "spec / snapshotMoveData", True)),
        (SNAPSHOT, changed(BACKUP, "spec / datamover", "somebody-else")),
        (changed(SNAPSHOT, "spec / source", {"volumeSnapshotContentName": "x"}), BACKUP),
        (changed(SNAPSHOT, "metadata / labels", {"velero.io/backup-name": "weekly"}), BACKUP),
        (changed(SNAPSHOT, "metadata / labels", None), BACKUP),
    ],
    ids=["velero-moves", "other-mover", "no-claim", "other-backup", "no-backup"],
)
def test_what_is_not_ours_is_left_alone(
    item: dict[str, Any],
    backup: dict[str, Any],
    action: VolumeSnapshotBackupAction,
    kube: KubeClient,
    claim: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert execute(action, backup, item) == UNCHANGED
    assert uploads(kube) == []
    assert errors(caplog) == []


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "persistentvolumeclaims", 403), ("GET", "datauploads", 503), ("POST", "datauploads", 403)],
)
def test_a_failure_keeps_the_snapshot_and_fails_the_backup_in_part(
    method: str,
    path: str,
    code: int,
    action: VolumeSnapshotBackupAction,
    kube: KubeClient,
    api: KubernetesApi,
    caplog: pytest.LogCaptureFixture,
    backup: dict[str, Any],
) -> None:
    api.fail_next(method, path, code)
    assert execute(action, backup) == UNCHANGED
    [message] = errors(caplog)
    assert message.startswith("Snapshot app/velero-data-x7 is not uploaded: ")
    assert uploads(kube) == []


def test_a_vanished_claim_fails_the_backup_in_part(
    action: VolumeSnapshotBackupAction, caplog: pytest.LogCaptureFixture, backup: dict[str, Any]
) -> None:
    assert execute(action, backup) == UNCHANGED
    [message] = errors(caplog)
    assert "data" in message


def finalizing(backup: dict[str, Any]) -> dict[str, Any]:
    return changed(backup, "status / phase", "Finalizing")


@pytest.mark.parametrize("phase", ["Finalizing", "FinalizingPartiallyFailed"])
def test_while_finalizing_the_outcome_is_kept(
    phase: str, action: VolumeSnapshotBackupAction, kube: KubeClient, backup: dict[str, Any]
) -> None:
    kube.create(DATA_UPLOAD, changed(owned(UPLOAD, backup), "status", {"phase": "Completed", "snapshotID": "3f0a"}))
    result = execute(action, changed(backup, "status / phase", phase))
    annotations = {
        **SNAPSHOT["metadata"]["annotations"],
        "velero-py-plugin.io/data-upload-phase": "Completed",
        "velero-py-plugin.io/snapshot-id": "3f0a",
    }
    assert result == BackupItemActionResult(item=changed(SNAPSHOT, "metadata / annotations", annotations))
    assert len(uploads(kube)) == 1


@pytest.mark.usefixtures("claim")
def test_while_finalizing_nothing_is_started(
    action: VolumeSnapshotBackupAction, kube: KubeClient, backup: dict[str, Any]
) -> None:
    assert execute(action, finalizing(backup)) == UNCHANGED
    assert uploads(kube) == []


def test_while_finalizing_other_snapshots_uploads_do_not_count(
    action: VolumeSnapshotBackupAction, kube: KubeClient, backup: dict[str, Any]
) -> None:
    done = changed(owned(UPLOAD, backup), "status", {"phase": "Completed", "snapshotID": "3f0a"})
    kube.create(DATA_UPLOAD, changed(done, "spec / sourceNamespace", "other"))
    kube.create(DATA_UPLOAD, changed(done, "metadata / labels / velero.io/backup-uid", "other"))
    kube.create(DATA_UPLOAD, changed(done, "spec / csiSnapshot", None))
    assert execute(action, finalizing(backup)) == UNCHANGED


def test_while_finalizing_the_uploads_are_listed_once(
    action: VolumeSnapshotBackupAction, kube: KubeClient, api: KubernetesApi, backup: dict[str, Any]
) -> None:
    kube.create(DATA_UPLOAD, changed(owned(UPLOAD, backup), "status", {"phase": "Failed", "message": "disk"}))
    first = execute(action, finalizing(backup))
    api.fail_next("GET", "datauploads", 503)
    assert execute(action, finalizing(backup)) == first
    assert first.item is not None
    assert first.item["metadata"]["annotations"]["velero-py-plugin.io/data-upload-phase"] == "Failed"


def test_while_finalizing_an_unreachable_server_costs_the_annotation_alone(
    action: VolumeSnapshotBackupAction, kube: KubeClient, api: KubernetesApi, backup: dict[str, Any]
) -> None:
    kube.create(DATA_UPLOAD, changed(owned(UPLOAD, backup), "status", {"phase": "Completed", "snapshotID": "3f0a"}))
    api.fail_next("GET", "datauploads", 503)
    assert execute(action, finalizing(backup)) == UNCHANGED
    assert execute(action, finalizing(backup)) != UNCHANGED


def test_the_sample_is_consistent() -> None:
    assert data_upload_operation_id(BACKUP["metadata"]["uid"], CLAIM_UID) == UPLOAD_OPERATION_ID
