"""The DataDownload built for a claim, and the record it is built from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.actions.sample import BACKUP, DOWNLOAD, DOWNLOAD_OPERATION_ID, RESTORE, RESULT, changed
from velero_py_plugin.actions.data_download import (
    DataUploadResult,
    build_data_download,
    restores_volumes,
    target_namespace,
)
from velero_py_plugin.actions.errors import UploadResultInvalidError


def build(restore: dict[str, Any] = RESTORE, result: dict[str, Any] = RESULT, namespace: str = "app") -> dict[str, Any]:
    return build_data_download(
        restore,
        BACKUP,
        DataUploadResult.from_json(json.dumps(result)),
        namespace=namespace,
        claim_name="data",
        operation_id=DOWNLOAD_OPERATION_ID,
    )


def test_the_object_is_the_one_velero_would_make() -> None:
    assert build() == DOWNLOAD


def test_what_the_upload_knew_more_is_passed_on() -> None:
    spec = build(result={**RESULT, "nodeOS": "windows", "snapshotSize": 1048576, "dataMoverResult": {"a": "b"}})["spec"]
    assert spec == {**DOWNLOAD["spec"], "nodeOS": "windows", "snapshotSize": 1048576}


def test_a_mapped_namespace_changes_the_target_alone() -> None:
    spec = build(namespace="rescued")["spec"]
    assert spec["targetVolume"]["namespace"] == "rescued"
    assert spec["sourceNamespace"] == "app"


@pytest.mark.parametrize(
    ("uploader", "config"),
    [
        (
            {"writeSparseFiles": True, "parallelFilesDownload": 4},
            {"WriteSparseFiles": "true", "ParallelFilesDownload": "4"},
        ),
        ({"writeSparseFiles": False}, {"WriteSparseFiles": "false"}),
        ({"writeSparseFiles": None, "parallelFilesDownload": 0}, None),
    ],
)
def test_the_uploader_settings_are_passed_on(uploader: dict[str, Any], config: dict[str, str] | None) -> None:
    assert build(changed(RESTORE, "spec / uploaderConfig", uploader))["spec"].get("dataMoverConfig") == config


@pytest.mark.parametrize(("value", "restored"), [(None, True), (True, True), (False, False)])
def test_volumes_are_restored_unless_told_otherwise(value: bool | None, restored: bool) -> None:
    assert restores_volumes(changed(RESTORE, "spec / restorePVs", value)) is restored


def test_namespaces_are_mapped() -> None:
    restore = changed(RESTORE, "spec / namespaceMapping", {"app": "rescued"})
    assert target_namespace(restore, "app") == "rescued"
    assert target_namespace(restore, "other") == "other"
    assert target_namespace(RESTORE, "app") == "app"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "3",
        "{",
        '{"snapshotID": 3}',
        '{"datamover": null}',
        '{"snapshotSize": "3"}',
        '{"snapshotSize": true}',
    ],
)
def test_a_malformed_record_is_refused(text: str) -> None:
    with pytest.raises(UploadResultInvalidError):
        DataUploadResult.from_json(text)


@given(
    st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps) | st.just("[" * 100_000)
)
def test_no_text_but_an_object_is_a_record(text: str) -> None:
    with pytest.raises(UploadResultInvalidError):
        DataUploadResult.from_json(text)
