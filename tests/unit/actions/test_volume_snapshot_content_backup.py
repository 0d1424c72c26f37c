"""The VolumeSnapshotContent's backup action against an API server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.actions.sample import CONTENT, UPLOAD, changed, owned
from velero_py_plugin.actions.volume_snapshot_content_backup import VolumeSnapshotContentBackupAction
from velero_py_plugin.api.resource import DATA_UPLOAD
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.plugin.kinds import BackupItemActionRequest, BackupItemActionResult, ResourceSelector

UNCHANGED = BackupItemActionResult()


def execute(kube: KubeClient, backup: dict[str, Any]) -> BackupItemActionResult:
    return VolumeSnapshotContentBackupAction(lambda: kube).execute(BackupItemActionRequest(CONTENT, backup))


@pytest.fixture(autouse=True)
def upload(kube: KubeClient, backup: dict[str, Any]) -> dict[str, Any]:
    return kube.create(
        DATA_UPLOAD, changed(owned(UPLOAD, backup), "status", {"phase": "Completed", "snapshotID": "3f0a"})
    )


def test_it_applies_to_volume_snapshot_contents() -> None:
    expected = ResourceSelector(included_resources=("volumesnapshotcontents.snapshot.storage.k8s.io",))
    assert VolumeSnapshotContentBackupAction().applies_to() == expected


@pytest.mark.parametrize("phase", ["Finalizing", "FinalizingPartiallyFailed"])
def test_while_finalizing_the_outcome_is_kept(phase: str, kube: KubeClient, backup: dict[str, Any]) -> None:
    result = execute(kube, changed(backup, "status / phase", phase))
    annotations = {
        "velero-py-plugin.io/data-upload-phase": "Completed",
        "velero-py-plugin.io/snapshot-id": "3f0a",
    }
    assert result == BackupItemActionResult(item=changed(CONTENT, "metadata / annotations", annotations))


def test_before_that_there_is_no_outcome(kube: KubeClient, backup: dict[str, Any]) -> None:
    assert execute(kube, backup) == UNCHANGED


def test_velero_moved_backups_are_left_alone(kube: KubeClient, backup: dict[str, Any]) -> None:
    moved = changed(changed(backup, "status / phase", "Finalizing"), "spec / snapshotMoveData", True)
    assert execute(kube, moved) == UNCHANGED
