"""The VolumeSnapshotContent's restore action, which needs no cluster."""

from __future__ import annotations

import pytest

from tests.unit.actions.sample import CONTENT, RESTORE, changed
from velero_py_plugin.actions.volume_snapshot_content_restore import VolumeSnapshotContentRestoreAction
from velero_py_plugin.plugin.kinds import ResourceSelector, RestoreItemActionRequest, RestoreItemActionResult

COMPLETED = {"velero-py-plugin.io/data-upload-phase": "Completed", "velero-py-plugin.io/snapshot-id": "3f0a"}
FAILED = {"velero-py-plugin.io/data-upload-phase": "Failed"}


def test_it_applies_to_its_kind() -> None:
    expected = ResourceSelector(included_resources=("volumesnapshotcontents.snapshot.storage.k8s.io",))
    assert VolumeSnapshotContentRestoreAction().applies_to() == expected


@pytest.mark.parametrize(
    ("annotations", "restore_volumes", "skipped"),
    [
        (COMPLETED, None, True),
        (COMPLETED, True, True),
        (COMPLETED, False, False),
        (FAILED, None, False),
        ({}, None, False),
        (None, None, False),
    ],
)
def test_it_is_skipped_when_the_upload_completed(
    annotations: dict[str, str] | None, restore_volumes: bool | None, skipped: bool
) -> None:
    request = RestoreItemActionRequest(
        # Velero's own action came before and replaced the item's annotations.
        item=changed(CONTENT, "metadata / annotations", {}),
        item_from_backup=changed(CONTENT, "metadata / annotations", annotations),
        restore=changed(RESTORE, "spec / restorePVs", restore_volumes),
    )
    assert VolumeSnapshotContentRestoreAction().execute(request) == RestoreItemActionResult(skip_restore=skipped)
