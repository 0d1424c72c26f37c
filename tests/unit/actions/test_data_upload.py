"""The DataUpload built for a snapshot, and when one is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.actions.sample import BACKUP, CLAIM, SNAPSHOT, UPLOAD, changed
from velero_py_plugin.actions.data_upload import build_data_upload, is_finalizing, uploads_wanted
from velero_py_plugin.actions.errors import SourceIncompleteError


def test_the_object_is_the_one_velero_would_make() -> None:
    assert build_data_upload(BACKUP, SNAPSHOT, CLAIM) == UPLOAD


def test_what_is_unknown_is_left_out() -> None:
    snapshot = changed(changed(SNAPSHOT, "metadata / annotations", None), "spec / volumeSnapshotClassName", None)
    upload = build_data_upload(BACKUP, snapshot, CLAIM)
    assert upload["spec"]["csiSnapshot"] == {"volumeSnapshot": "velero-data-x7", "storageClass": "fast"}


def test_the_timeout_has_veleros_default() -> None:
    upload = build_data_upload(changed(BACKUP, "spec / csiSnapshotTimeout", None), SNAPSHOT, CLAIM)
    assert upload["spec"]["operationTimeout"] == "10m0s"


@pytest.mark.parametrize(
    ("uploader", "config"), [({"parallelFilesUpload": 8}, {"ParallelFilesUpload": "8"}), ({}, None)]
)
def test_parallelism_is_passed_on(uploader: dict[str, int], config: dict[str, str] | None) -> None:
    upload = build_data_upload(changed(BACKUP, "spec / uploaderConfig", uploader), SNAPSHOT, CLAIM)
    assert upload["spec"].get("dataMoverConfig") == config


def test_a_long_backup_name_is_shortened_in_the_label_alone() -> None:
    name = "b" * 70
    upload = build_data_upload(changed(BACKUP, "metadata / name", name), SNAPSHOT, CLAIM)
    assert upload["metadata"]["generateName"] == f"{name}-"
    assert upload["metadata"]["ownerReferences"][0]["name"] == name
    assert upload["metadata"]["labels"]["velero.io/backup-name"] == "b" * 57 + "b94440"


@pytest.mark.parametrize("storage_class", [None, ""])
def test_a_claim_without_storage_class_has_no_upload(storage_class: str | None) -> None:
    with pytest.raises(SourceIncompleteError, match="app/data"):
        build_data_upload(BACKUP, SNAPSHOT, changed(CLAIM, "spec / storageClassName", storage_class))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, True),
        ({"snapshotMoveData": False}, True),
        ({"snapshotMoveData": None, "datamover": "velero-py-plugin"}, True),
        ({"snapshotMoveData": True}, False),
        ({"snapshotMoveData": True, "datamover": "velero-py-plugin"}, False),
        ({"datamover": "somebody-else"}, False),
        ({"datamover": "velero"}, False),
    ],
)
def test_velero_and_other_movers_keep_their_backups(spec: dict[str, Any], wanted: bool) -> None:
    assert uploads_wanted({"spec": spec}) is wanted


@pytest.mark.parametrize(
    ("phase", "finalizing"),
    [
        ("InProgress", False),
        ("WaitingForPluginOperations", False),
        ("Finalizing", True),
        ("FinalizingPartiallyFailed", True),
        (None, False),
    ],
)
def test_only_two_phases_are_finalizing(phase: str | None, finalizing: bool) -> None:
    assert is_finalizing(changed(BACKUP, "status / phase", phase)) is finalizing
