"""When the stored objects of a CSI snapshot stay out of a restore."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.actions.sample import CONTENT, RESTORE, SNAPSHOT, changed
from velero_py_plugin.actions.cluster import ClientFactory
from velero_py_plugin.actions.snapshot_skip import looks_snapshot_up
from velero_py_plugin.actions.volume_snapshot_content_restore import VolumeSnapshotContentRestoreAction
from velero_py_plugin.actions.volume_snapshot_restore import VolumeSnapshotRestoreAction
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import KubeConfig
from velero_py_plugin.plugin.kinds import ResourceSelector, RestoreItemActionRequest, RestoreItemActionResult
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

COMPLETED = {"velero-py-plugin.io/data-upload-phase": "Completed", "velero-py-plugin.io/snapshot-id": "3f0a"}
FAILED = {"velero-py-plugin.io/data-upload-phase": "Failed"}
KINDS = pytest.mark.parametrize(
    ("action_type", "stored"),
    [(VolumeSnapshotRestoreAction, SNAPSHOT), (VolumeSnapshotContentRestoreAction, CONTENT)],
    ids=["snapshot", "content"],
)


def definition(*fields: str) -> dict[str, Any]:
    """The definition of Velero's Backup type, with these fields of its spec."""
    spec = {"properties": {name: {"type": "string"} for name in fields}}
    schema = {"openAPIV3Schema": {"properties": {"spec": spec}}}
    return {"metadata": {"name": "backups.velero.io"}, "spec": {"versions": [{"name": "v1", "schema": schema}]}}


VELERO_1_16 = definition("csiSnapshotTimeout", "snapshotMoveData")
VELERO_1_17 = definition("csiSnapshotTimeout", "snapshotMoveData", "volumeGroupSnapshotLabelKey")


class DefinitionServer(http.server.BaseHTTPRequestHandler):
    """An API server that knows one definition."""

    def do_GET(self) -> None:
        body = json.dumps(VELERO_1_16).encode()
        self.send_response(200 if self.path.endswith("/customresourcedefinitions/backups.velero.io") else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def velero_1_16() -> Iterator[KubeClient]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), DefinitionServer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with KubeClient(KubeConfig(f"http://127.0.0.1:{server.server_port}"), retry_seconds=0) as client:
            yield client
        server.shutdown()
        thread.join()


def execute(
    action_type: Any, client: ClientFactory, stored: dict[str, Any], annotations: Any, restore_volumes: bool | None
) -> RestoreItemActionResult:
    request = RestoreItemActionRequest(
        # Velero's own action came before and replaced the item's annotations.
        item=changed(stored, "metadata / annotations", {}),
        item_from_backup=changed(stored, "metadata / annotations", annotations),
        restore=changed(RESTORE, "spec / restorePVs", restore_volumes),
    )
    result = action_type(client).execute(request)
    assert isinstance(result, RestoreItemActionResult)
    return result


def no_cluster() -> KubeClient:
    raise AssertionError


@pytest.mark.parametrize(
    ("action_type", "plural"),
    [(VolumeSnapshotRestoreAction, "volumesnapshots"), (VolumeSnapshotContentRestoreAction, "volumesnapshotcontents")],
)
def test_they_apply_to_their_kinds(action_type: Any, plural: str) -> None:
    expected = ResourceSelector(included_resources=(f"{plural}.snapshot.storage.k8s.io",))
    assert action_type().applies_to() == expected


@KINDS
@pytest.mark.parametrize("restore_volumes", [None, True])
def test_a_completed_upload_is_a_reason_to_skip(
    action_type: Any, stored: dict[str, Any], restore_volumes: bool | None, kube: KubeClient
) -> None:
    result = execute(action_type, lambda: kube, stored, COMPLETED, restore_volumes)
    assert result == RestoreItemActionResult(skip_restore=True)


@KINDS
@pytest.mark.parametrize(
    ("annotations", "restore_volumes"),
    [(COMPLETED, False), (FAILED, None), ({}, None), (None, None)],
    ids=["no-volumes", "failed", "no-outcome", "no-annotations"],
)
def test_nothing_else_is_and_needs_no_cluster(
    action_type: Any, stored: dict[str, Any], annotations: dict[str, str] | None, restore_volumes: bool | None
) -> None:
    result = execute(action_type, no_cluster, stored, annotations, restore_volumes)
    assert result == RestoreItemActionResult()


@KINDS
def test_an_old_velero_gets_its_snapshots(action_type: Any, stored: dict[str, Any], velero_1_16: KubeClient) -> None:
    assert execute(action_type, lambda: velero_1_16, stored, COMPLETED, None) == RestoreItemActionResult()


@KINDS
def test_an_unknown_velero_counts_as_new(
    action_type: Any, stored: dict[str, Any], api: KubernetesApi, kube: KubeClient
) -> None:
    api.fail_next("GET", "customresourcedefinitions", 403)
    assert execute(action_type, lambda: kube, stored, COMPLETED, None).skip_restore


def test_the_version_is_asked_for_once_per_process(
    api: KubernetesApi, kube: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    action = VolumeSnapshotRestoreAction(lambda: kube)
    stored = changed(SNAPSHOT, "metadata / annotations", COMPLETED)
    request = RestoreItemActionRequest(stored, stored, RESTORE)
    assert action.execute(request).skip_restore
    api.fail_next("GET", "customresourcedefinitions", 503)
    assert action.execute(request).skip_restore
    assert caplog.records == []


@pytest.mark.parametrize(
    ("backup_definition", "old"),
    [
        (VELERO_1_16, True),
        (VELERO_1_17, False),
        (definition(), False),
        ({"spec": {"versions": [{"name": "v1"}]}}, False),
        ({"spec": {"versions": []}}, False),
    ],
)
def test_the_definition_of_backups_tells_the_version(backup_definition: dict[str, Any], old: bool) -> None:
    assert looks_snapshot_up(backup_definition) is old
