"""Velero's own data mover and ours on the same volume and the same repository."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.process import leave_out
from tests.support.velero_application import CLAIM, Application
from tests.support.velero_server import DEADLINE_SECONDS, VELERO_NAMESPACE, VeleroServer, ends_well, wait_until
from velero_py_plugin.api.names import DYNAMIC_PV_RESTORE_LABEL, MOVER_NAME
from velero_py_plugin.api.resource import DATA_DOWNLOAD, DATA_UPLOAD, ResourceType
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot, list_snapshots
from velero_py_plugin.testing.csi_directory import STORAGE_CLASS_NAME
from velero_py_plugin.testing.tree import Difference, compare_trees, summarise_tree

# Velero's mover writes its result to /dev/termination-log: here of a /dev of its own, which goes with the process.
_OWN_DEV: Final = """
set -e
mount -t tmpfs tmpfs "$1"
for device in null zero random urandom; do
  touch "$1/$device"
  mount --bind "/dev/$device" "$1/$device"
done
mount --rbind "$1" /dev
shift
exec "$@"
"""
_TERMINAL: Final = ("Completed", "Failed", "Canceled")


@pytest.fixture
def private_mounts() -> None:
    """Velero's data mover needs mounts of its own, and with it the rights to make them."""
    if os.geteuid() != 0:
        leave_out("Velero's data mover is run with mounts of its own, which only root can make")
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        leave_out("Velero's data mover is run with mounts of its own, which this machine does not allow")


@pytest.mark.usefixtures("private_mounts")
def test_both_movers_restore_and_continue_each_other(
    velero_server: VeleroServer, application: Application, tmp_path: Path
) -> None:
    namespace, volume = application.namespace, application.volume()
    assert ends_well(velero_server.back_up(f"{namespace}-ours", namespace))
    [upload] = velero_server.uploads(f"{namespace}-ours")

    # Velero's mover restores our snapshot.
    download = make_download(velero_server, application, upload["status"]["snapshotID"], datamover="velero")
    run_velero_mover(velero_server, "restore", download, tmp_path)
    assert differences_of_velero(application.original, tmp_path) == []

    # Velero's mover continues where we ended: it reads the one file that has changed.
    with (volume / "large.db").open("ab") as file:
        file.write(b"changed")
    run_velero_mover(velero_server, "backup", make_upload(velero_server, application), volume)
    snapshot = snapshots(velero_server, namespace)[-1]
    tree = summarise_tree(volume)
    assert snapshot.statistics["nonCachedFiles"] == 1
    assert snapshot.statistics["cachedFiles"] == tree.files + tree.links - 1

    # We continue where Velero's mover ended: nothing has changed since.
    assert ends_well(velero_server.back_up(f"{namespace}-again", namespace))
    [upload] = velero_server.uploads(f"{namespace}-again")
    assert upload["status"]["incrementalBytes"] == 0
    assert upload["status"]["progress"]["totalBytes"] == tree.size

    # We restore Velero's snapshot.
    label = {DYNAMIC_PV_RESTORE_LABEL: f"{namespace}.restored"}
    application.add_claim("restored", label)
    name = make_download(velero_server, application, snapshot.manifest_id, datamover=MOVER_NAME, claim="restored")
    wait_until(lambda: phase(velero_server, DATA_DOWNLOAD, name) in _TERMINAL, f"the DataDownload {name} ended")
    assert phase(velero_server, DATA_DOWNLOAD, name) == "Completed"
    # Velero's mover gives a folder the time of the newest file in it.
    assert compare_trees(volume, application.volume("restored"), directory_times=False) == []


def make_upload(server: VeleroServer, application: Application) -> str:
    """Creates a DataUpload for Velero's mover as its node-agent leaves it, when it starts the mover's pod."""
    spec = {
        "snapshotType": "CSI",
        "csiSnapshot": {"volumeSnapshot": "unused", "storageClass": STORAGE_CLASS_NAME},
        "sourcePVC": CLAIM,
        "sourceNamespace": application.namespace,
        "backupStorageLocation": "default",
        "datamover": "velero",
        "operationTimeout": "1m0s",
    }
    return make_request(server, DATA_UPLOAD, {"spec": spec, "status": {"phase": "InProgress"}})


def make_download(
    server: VeleroServer, application: Application, snapshot_id: str, *, datamover: str, claim: str = CLAIM
) -> str:
    """Creates a DataDownload for a mover; that of Velero is under way, as for an upload."""
    body: dict[str, Any] = {
        "spec": {
            "targetVolume": {"namespace": application.namespace, "pvc": claim, "pv": ""},
            "backupStorageLocation": "default",
            "datamover": datamover,
            "snapshotID": snapshot_id,
            "sourceNamespace": application.namespace,
            "operationTimeout": "1m0s",
        }
    }
    if datamover != MOVER_NAME:
        body["status"] = {"phase": "InProgress"}
    return make_request(server, DATA_DOWNLOAD, body)


def make_request(server: VeleroServer, resource: ResourceType, body: dict[str, Any]) -> str:
    name = f"by-hand-{uuid.uuid4().hex[:8]}"
    server.kube.create(resource, {"metadata": {"name": name}, **body}, VELERO_NAMESPACE)
    return name


def run_velero_mover(server: VeleroServer, action: str, request: str, volume: Path) -> None:
    """Runs Velero's mover as its pod would."""
    argument = {"backup": "--data-upload", "restore": "--data-download"}[action]
    dev = server.folder / f"dev-{request}"
    dev.mkdir()
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", _OWN_DEV, "sh", dev),
            *(server.executable, "data-mover", action),
            f"--namespace={VELERO_NAMESPACE}",
            f"{argument}={request}",
            f"--volume-path={volume}",
            "--volume-mode=Filesystem",
            "--resource-timeout=1m",
        ],
        env=server.environ("data-mover") | {"NODE_NAME": "node"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"


def differences_of_velero(expected: Path, found: Path) -> list[Difference]:
    """What a restore by Velero has not brought back, apart from what it never does.

    It gives folders the time of the newest file in them, and the times of links to the microsecond.
    """
    return [
        difference
        for difference in compare_trees(expected, found, directory_times=False)
        if not (difference.what == "mtime" and os.path.islink(expected / difference.path))
    ]


def snapshots(server: VeleroServer, namespace: str) -> list[Snapshot]:
    with server.repository(namespace) as repository:
        return list_snapshots(repository.manifests)


def phase(server: VeleroServer, resource: ResourceType, name: str) -> str:
    status = server.kube.get(resource, name, VELERO_NAMESPACE).get("status") or {}
    return str(status.get("phase", ""))
