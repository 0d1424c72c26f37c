"""The claim's restore action against an API server."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.actions.sample import CLAIM, DOWNLOAD, RESTORE, RESULT, changed, owned
from velero_py_plugin.actions.errors import NoUsableCopyError, OperationMissingError, UploadResultInvalidError
from velero_py_plugin.actions.pvc_restore import PVCRestoreAction, claim_for_download
from velero_py_plugin.api.names import data_download_operation_id
from velero_py_plugin.api.resource import BACKUP as BACKUP_TYPE
from velero_py_plugin.api.resource import CONFIG_MAP, DATA_DOWNLOAD, NAMESPACE, PVC, VOLUME_SNAPSHOT
from velero_py_plugin.api.resource import RESTORE as RESTORE_TYPE
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import ApiUnavailableError, NotFoundError
from velero_py_plugin.plugin.kinds import ResourceSelector, RestoreItemActionRequest, RestoreItemActionResult
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

UNCHANGED = RestoreItemActionResult()
HASHED = "6b0c8a52"
STORED = changed(CLAIM, "metadata / annotations / velero.io/data-upload-name", "velero/nightly-1")
PREPARED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {
        "name": "data",
        "namespace": "app",
        "labels": {
            "app": "shop",
            "velero.io/backup-name": "nightly",
            "velero.io/volume-snapshot-name": "velero-data-x7",
        },
        "annotations": {"note": "kept", "backup.velero.io/must-include-additional-items": "true"},
    },
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
        "volumeMode": "Filesystem",
        "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": HASHED},
    },
}
"""The claim as Velero's own actions leave it."""


@pytest.fixture
def restore(kube: KubeClient) -> dict[str, Any]:
    return kube.create(RESTORE_TYPE, RESTORE)


@pytest.fixture
def operation_id(restore: dict[str, Any]) -> str:
    return data_download_operation_id(restore["metadata"]["uid"], CLAIM["metadata"]["uid"])


@pytest.fixture
def result(kube: KubeClient, restore: dict[str, Any]) -> dict[str, Any]:
    return record(kube, restore)


@pytest.fixture
def action(kube: KubeClient) -> PVCRestoreAction:
    return PVCRestoreAction(lambda: kube)


pytestmark = pytest.mark.usefixtures("backup")


def record(kube: KubeClient, restore: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The ConfigMap Velero makes of the stored DataUpload."""
    uid = restore["metadata"]["uid"]
    labels = {
        "velero.io/restore-uid": uid,
        "velero.io/pvc-namespace-name": "app.data",
        "velero.io/resource-usage": "DataUpload",
    }
    body = {
        "metadata": {"generateName": "nightly-1-", "labels": labels},
        "data": {uid: json.dumps({**RESULT, **changes})},
    }
    return kube.create(CONFIG_MAP, body, "velero")


def local_snapshot(kube: KubeClient, **status: Any) -> None:
    """The VolumeSnapshot Velero restores before the claim."""
    body = {"metadata": {"name": HASHED}, "spec": {"source": {"volumeSnapshotContentName": HASHED}}}
    kube.create(VOLUME_SNAPSHOT, body, "app")
    kube.merge_patch(VOLUME_SNAPSHOT, HASHED, {"status": status}, "app", status=True)


def execute(
    action: PVCRestoreAction, restore: dict[str, Any], item: dict[str, Any] = PREPARED, stored: dict[str, Any] = STORED
) -> RestoreItemActionResult:
    return action.execute(RestoreItemActionRequest(item, stored, restore))


def downloads(kube: KubeClient) -> list[dict[str, Any]]:
    return kube.list(DATA_DOWNLOAD)


def no_cluster() -> KubeClient:
    raise AssertionError


def test_it_applies_to_claims() -> None:
    assert PVCRestoreAction().applies_to() == ResourceSelector(included_resources=("persistentvolumeclaims",))


def test_the_claim_waits_for_its_download(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any], operation_id: str
) -> None:
    answer = execute(action, restore)
    [download] = downloads(kube)
    assert download["spec"] == DOWNLOAD["spec"]
    assert download["metadata"]["labels"] == owned(DOWNLOAD, restore)["metadata"]["labels"]
    assert download["metadata"]["ownerReferences"] == owned(DOWNLOAD, restore)["metadata"]["ownerReferences"]
    assert download["metadata"]["name"].startswith("rescue-")
    assert answer.item is not None
    value = answer.item["spec"]["selector"]["matchLabels"]["velero.io/dynamic-pv-restore"]
    assert re.fullmatch(r"app\.data\.[bcdfghjklmnpqrstvwxz2456789]{5}", value)
    assert answer == RestoreItemActionResult(
        item={
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "data",
                "namespace": "app",
                "labels": {"app": "shop", "velero.io/backup-name": "nightly"},
                "annotations": {"note": "kept"},
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": "fast",
                "volumeMode": "Filesystem",
                "selector": {"matchLabels": {"velero.io/dynamic-pv-restore": value}},
            },
        },
        operation_id=operation_id,
    )


def test_a_mapped_namespace_is_looked_up_by_its_original_name(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    kube.create(NAMESPACE, {"metadata": {"name": "rescued"}})
    kube.create(PVC, PREPARED, "app")
    answer = execute(action, changed(restore, "spec / namespaceMapping", {"app": "rescued"}))
    [download] = downloads(kube)
    assert download["spec"]["targetVolume"] == {"namespace": "rescued", "pvc": "data", "pv": ""}
    assert download["spec"]["sourceNamespace"] == "app"
    assert answer.item is not None
    value = answer.item["spec"]["selector"]["matchLabels"]["velero.io/dynamic-pv-restore"]
    assert value.startswith("rescued.data.")
    assert answer.item["metadata"]["namespace"] == "app"


def test_a_second_call_finds_the_first_ones_download(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    first = execute(action, restore)
    second = execute(PVCRestoreAction(lambda: kube), restore)
    assert second.operation_id == first.operation_id
    assert len(downloads(kube)) == 1


def test_a_lost_answer_makes_no_second_download(
    action: PVCRestoreAction,
    kube: KubeClient,
    api: KubernetesApi,
    restore: dict[str, Any],
    result: dict[str, Any],
    operation_id: str,
) -> None:
    api.drop_next("POST", "datadownloads", processed=True)
    assert execute(action, restore).operation_id == operation_id
    assert len(downloads(kube)) == 1


def test_a_download_that_cannot_be_made_fails_the_item(
    action: PVCRestoreAction, api: KubernetesApi, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    api.fail_next("POST", "datadownloads", 503)
    with pytest.raises(ApiUnavailableError):
        execute(action, restore)


@pytest.mark.parametrize(
    ("stored", "path", "value"),
    [
        (STORED, "spec / restorePVs", False),
        (CLAIM, "spec / restorePVs", None),
        (changed(CLAIM, "metadata / annotations", None), "spec / restorePVs", None),
    ],
    ids=["no-volumes", "no-upload", "no-annotations"],
)
def test_what_is_not_ours_is_left_alone_without_asking(stored: dict[str, Any], path: str, value: bool | None) -> None:
    assert execute(PVCRestoreAction(no_cluster), changed(RESTORE, path, value), stored=stored) == UNCHANGED


def test_velero_moved_backups_are_left_to_velero(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    kube.merge_patch(BACKUP_TYPE, "nightly", {"spec": {"snapshotMoveData": True}}, "velero")
    assert execute(action, restore) == UNCHANGED
    assert downloads(kube) == []


def test_an_existing_claim_is_left_alone(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    kube.create(PVC, PREPARED, "app")
    assert execute(action, restore) == UNCHANGED
    assert downloads(kube) == []


@pytest.mark.parametrize("datamover", ["", "velero", "somebody-else"])
def test_another_movers_upload_is_left_alone(
    datamover: str, action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any]
) -> None:
    record(kube, restore, datamover=datamover)
    assert execute(action, restore) == UNCHANGED
    assert downloads(kube) == []


def test_a_backup_that_is_gone_fails_the_item(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    kube.delete(BACKUP_TYPE, "nightly", "velero")
    with pytest.raises(NotFoundError, match="nightly"):
        execute(action, restore)


@pytest.mark.parametrize("with_record", [True, False], ids=["failed", "lost"])
@pytest.mark.parametrize("status", [{}, {"readyToUse": True}, {"readyToUse": False}])
def test_without_upload_the_local_snapshot_is_restored(
    with_record: bool, status: dict[str, Any], action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any]
) -> None:
    if with_record:
        record(kube, restore, snapshotID="")
    local_snapshot(kube, **status)
    assert execute(action, restore) == UNCHANGED
    assert downloads(kube) == []


@pytest.mark.parametrize("with_record", [True, False], ids=["failed", "lost"])
def test_without_upload_and_snapshot_the_claim_is_refused(
    with_record: bool, action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any]
) -> None:
    if with_record:
        record(kube, restore, snapshotID="")
    with pytest.raises(NoUsableCopyError, match=f"app/data .* local snapshot {HASHED} is not restored"):
        execute(action, restore)
    assert downloads(kube) == []


def test_without_upload_a_broken_snapshot_is_no_copy(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any]
) -> None:
    local_snapshot(kube, error={"message": "no such snapshot in the storage"})
    with pytest.raises(NoUsableCopyError, match="no such snapshot in the storage"):
        execute(action, restore)


def test_without_upload_a_claim_without_snapshot_is_refused(action: PVCRestoreAction, restore: dict[str, Any]) -> None:
    with pytest.raises(NoUsableCopyError, match="no local snapshot"):
        execute(action, restore, changed(PREPARED, "spec / dataSource", None))


def test_a_completed_upload_is_used_even_beside_a_restored_snapshot(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any], operation_id: str
) -> None:
    local_snapshot(kube, readyToUse=True)
    assert execute(action, restore).operation_id == operation_id


def test_two_records_of_one_claim_are_ambiguous(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    record(kube, restore)
    with pytest.raises(UploadResultInvalidError, match=r"2 DataUploads of claim app\.data"):
        execute(action, restore)


def test_a_record_of_another_restore_does_not_count(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    record(kube, changed(restore, "metadata / uid", "other"))
    execute(action, restore)
    assert len(downloads(kube)) == 1


def test_a_record_without_its_key_is_invalid(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    name = result["metadata"]["name"]
    kube.merge_patch(CONFIG_MAP, name, {"data": {restore["metadata"]["uid"]: None}}, "velero")
    with pytest.raises(UploadResultInvalidError, match=name):
        execute(action, restore)


def test_an_existing_selector_is_kept() -> None:
    selector = {"matchLabels": {"tier": "gold"}, "matchExpressions": [{"key": "zone", "operator": "Exists"}]}
    claim = changed(PREPARED, "spec / selector", selector)
    changed_claim = claim_for_download(claim, "app")
    assert changed_claim["spec"]["selector"]["matchExpressions"] == selector["matchExpressions"]
    assert changed_claim["spec"]["selector"]["matchLabels"]["tier"] == "gold"
    assert len(changed_claim["spec"]["selector"]["matchLabels"]) == 2
    assert claim["spec"]["selector"] == selector


def test_the_selector_is_fresh_each_time_and_a_legal_label() -> None:
    claim = changed(PREPARED, "metadata / name", "d" * 63)
    values = {
        claim_for_download(claim, "n" * 63)["spec"]["selector"]["matchLabels"]["velero.io/dynamic-pv-restore"]
        for _ in range(20)
    }
    assert len(values) > 15
    assert all(len(value) == 63 for value in values)


def test_a_claim_without_labels_and_annotations_will_do() -> None:
    claim = changed(changed(PREPARED, "metadata / labels", None), "metadata / annotations", None)
    assert claim_for_download(claim, "app")["metadata"] == {"name": "data", "namespace": "app"}


def test_progress_and_cancel_act_on_the_download(
    action: PVCRestoreAction, kube: KubeClient, restore: dict[str, Any], result: dict[str, Any]
) -> None:
    operation_id = execute(action, restore).operation_id
    [download] = downloads(kube)
    assert not action.progress(operation_id, restore).completed
    action.cancel(operation_id, restore)
    assert kube.get(DATA_DOWNLOAD, download["metadata"]["name"], "velero")["spec"]["cancel"] is True
    kube.merge_patch(DATA_DOWNLOAD, download["metadata"]["name"], {"status": {"phase": "Canceled"}}, "velero")
    progress = action.progress(operation_id, restore)
    assert (progress.completed, progress.error) == (True, "DataDownload is canceled")
    kube.delete(DATA_DOWNLOAD, download["metadata"]["name"], "velero")
    with pytest.raises(OperationMissingError):
        action.progress(operation_id, restore)
