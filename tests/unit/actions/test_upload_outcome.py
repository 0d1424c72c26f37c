"""What a stored snapshot says about its upload."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.actions.sample import SNAPSHOT, UPLOAD, changed
from velero_py_plugin.actions.upload_outcome import is_uploaded, outcome_annotations

PHASE = "velero-py-plugin.io/data-upload-phase"
SNAPSHOT_ID = "velero-py-plugin.io/snapshot-id"


@pytest.mark.parametrize(
    ("status", "cancel", "annotations", "uploaded"),
    [
        ({"phase": "Completed", "snapshotID": "3f0a"}, None, {PHASE: "Completed", SNAPSHOT_ID: "3f0a"}, True),
        ({"phase": "Completed", "snapshotID": ""}, None, {PHASE: "Completed"}, False),
        ({"phase": "Completed", "snapshotID": "3f0a"}, True, {PHASE: "Completed"}, False),
        ({"phase": "Failed", "snapshotID": "3f0a", "message": "disk"}, None, {PHASE: "Failed"}, False),
        ({"phase": "Canceled"}, True, {PHASE: "Canceled"}, False),
        ({"phase": "InProgress"}, None, {PHASE: "InProgress"}, False),
        ({}, None, {PHASE: "New"}, False),
    ],
)
def test_only_a_completed_upload_replaces_the_local_snapshot(
    status: dict[str, Any], cancel: bool | None, annotations: dict[str, str], uploaded: bool
) -> None:
    upload = changed(changed(UPLOAD, "status", status), "spec / cancel", cancel)
    assert outcome_annotations(upload) == annotations
    assert is_uploaded(changed(SNAPSHOT, "metadata / annotations", annotations)) is uploaded


def test_a_snapshot_that_says_nothing_was_not_uploaded() -> None:
    assert not is_uploaded(SNAPSHOT)
    assert not is_uploaded(changed(SNAPSHOT, "metadata / annotations", None))
