"""The plugin's own actions, through its executable, in the sequence that Velero calls them.

DataUploads and DataDownloads are fulfilled by hand, between two looks at their operations.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from velero_py_plugin.api.names import MOVER_NAME
from velero_py_plugin.api.resource import (
    BACKUP,
    CONFIG_MAP,
    DATA_DOWNLOAD,
    DATA_UPLOAD,
    NAMESPACE,
    PV,
    PVC,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
)
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.plugin.kinds import OperationProgress
from velero_py_plugin.testing.csi_directory import DirectoryCsi
from velero_py_plugin.testing.fake_velero import BackupOutcome, FakeVelero, stored_items
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

PHASE = "velero-py-plugin.io/data-upload-phase"
SNAPSHOT_ID = "velero-py-plugin.io/snapshot-id"


class Cluster:
    """A cluster with storage, and Velero with the plugin in it.

    Attributes:
        kube: The cluster.
        csi: Its storage.
        steps: What Velero has said.
        progress: What the plugin has answered about operations.
        on_progress: What the hand does at each such answer.
    """

    def __init__(self, kubernetes_api: KubernetesApi, kube: KubeClient, root: Path, kubeconfig: Path) -> None:
        self.kube = kube
        self.csi = DirectoryCsi(kube, root)
        self.csi.install()
        for namespace in ("velero", "app"):
            kube.create(NAMESPACE, {"metadata": {"name": namespace}})
        kubernetes_api.write_kubeconfig(kubeconfig)
        self._environ = {"KUBECONFIG": str(kubeconfig), "PATH": os.environ["PATH"]}
        self.steps: list[str] = []
        self.progress: list[OperationProgress] = []
        self.on_progress: Callable[[], None] = lambda: None

    def velero(self, **settings: Any) -> FakeVelero:
        return FakeVelero(
            self.kube,
            self.csi,
            Path(sys.executable).with_name("velero-py-plugin"),
            environ=self._environ,
            on_step=self.steps.append,
            on_progress=self._progressed,
            **{"poll_interval": 0.0, **settings},
        )

    def _progressed(self, progress: OperationProgress) -> None:
        self.progress.append(progress)
        self.on_progress()

    def make_claim(self) -> dict[str, Any]:
        body = {
            "metadata": {"name": "data", "labels": {"app": "shop"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": "directory",
            },
        }
        claim = self.kube.create(PVC, body, "app")
        self.csi.settle()
        self.kube.merge_patch(PV, f"pvc-{claim['metadata']['uid']}", {"metadata": {"labels": {"tier": "gold"}}})
        (self.volume() / "file").write_text("precious")
        return claim

    def volume(self, namespace: str = "app") -> Path:
        claim = self.kube.get(PVC, "data", namespace)
        volume = self.kube.get(PV, claim["spec"]["volumeName"])
        return self.csi.path_of_volume(volume["spec"]["csi"]["volumeHandle"])

    def destroy_claim(self) -> None:
        self.kube.delete(PVC, "data", "app")
        self.csi.settle()
        assert self.kube.list(PV) == []

    def set_upload_status(self, **status: Any) -> None:
        [upload] = self.kube.list(DATA_UPLOAD)
        self.kube.merge_patch(DATA_UPLOAD, upload["metadata"]["name"], {"status": status}, "velero")

    def deliver(self) -> None:
        """Fills a volume and hands it to the claim of the one DataDownload, as a mover does."""
        [download] = self.kube.list(DATA_DOWNLOAD)
        target = download["spec"]["targetVolume"]
        claim = self.kube.get(PVC, target["pvc"], target["namespace"])
        handle = "restored"
        self.csi.path_of_volume(handle).mkdir()
        (self.csi.path_of_volume(handle) / "file").write_text(f"from {download['spec']['snapshotID']}")
        body = {
            "metadata": {"name": "restored", "labels": claim["spec"]["selector"]["matchLabels"]},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": "directory.csi.velero-py-plugin.io", "volumeHandle": handle},
                "claimRef": {
                    "namespace": target["namespace"],
                    "name": target["pvc"],
                    "uid": claim["metadata"]["uid"],
                },
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "directory",
            },
        }
        self.kube.create(PV, body)
        self.csi.settle()
        self.set_download_status(phase="Completed")

    def set_download_status(self, **status: Any) -> None:
        [download] = self.kube.list(DATA_DOWNLOAD)
        self.kube.merge_patch(DATA_DOWNLOAD, download["metadata"]["name"], {"status": status}, "velero")


@pytest.fixture
def cluster(kubernetes_api: KubernetesApi, tmp_path: Path) -> Iterator[Cluster]:
    with KubeClient(kubernetes_api.kube_config(), timeout=5) as kube:
        root = tmp_path / "storage"
        root.mkdir()
        yield Cluster(kubernetes_api, kube, root, tmp_path / "kubeconfig")


def completed_backup(cluster: Cluster) -> BackupOutcome:
    done = {"phase": "Completed", "snapshotID": "3f0a", "progress": {"bytesDone": 8, "totalBytes": 8}}
    cluster.on_progress = lambda: cluster.set_upload_status(**done)
    return cluster.velero().backup("nightly", "app", "data")


def failed_backup(cluster: Cluster) -> BackupOutcome:
    cluster.on_progress = lambda: cluster.set_upload_status(phase="Failed", message="the disk is on fire")
    return cluster.velero().backup("nightly", "app", "data")


def test_backup_makes_one_upload_and_waits_for_it(cluster: Cluster) -> None:
    claim = cluster.make_claim()
    phases: Iterator[dict[str, Any]] = iter(
        [
            {"phase": "Accepted"},
            {"phase": "InProgress", "progress": {"bytesDone": 3, "totalBytes": 8}},
            {"phase": "Completed", "snapshotID": "3f0a", "progress": {"bytesDone": 8, "totalBytes": 8}},
            {},
        ]
    )
    cluster.on_progress = lambda: cluster.set_upload_status(**next(phases))
    outcome = cluster.velero().backup("nightly", "app", "data")
    assert (outcome.phase, outcome.errors, outcome.warnings) == ("Completed", (), ())
    assert [(answer.description, answer.n_completed) for answer in cluster.progress] == [
        ("", 0),
        ("Accepted", 0),
        ("InProgress", 3),
        ("Completed", 8),
    ]
    [upload] = stored_items(outcome.tarball, DATA_UPLOAD)
    assert upload["status"]["phase"] == "Completed"
    assert upload["spec"]["datamover"] == MOVER_NAME
    [stored_claim] = stored_items(outcome.tarball, PVC)
    name = upload["metadata"]["name"]
    assert stored_claim["metadata"]["annotations"]["velero.io/data-upload-name"] == f"velero/{name}"
    assert stored_claim["metadata"]["uid"] == claim["metadata"]["uid"]
    for resource in (VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT):
        [item] = stored_items(outcome.tarball, resource)
        assert item["metadata"]["annotations"][PHASE] == "Completed"
        assert item["metadata"]["annotations"][SNAPSHOT_ID] == "3f0a"
        assert cluster.kube.list(resource) == []
    assert cluster.csi.path_of_snapshot(item["status"]["snapshotHandle"]).is_dir()
    actions = {operation.action: operation for operation in outcome.operations}
    assert set(actions) == {"velero.io/csi-volumesnapshot-backupper", "velero-py-plugin.io/pvc-backupper"}
    [post_item] = actions["velero-py-plugin.io/pvc-backupper"].post_operation_items
    assert (post_item.resource, post_item.name) == ("datauploads", name)


def test_the_actions_run_in_veleros_order(cluster: Cluster) -> None:
    cluster.make_claim()
    completed_backup(cluster)
    [snapshot_name] = {step.split()[-1] for step in cluster.steps if " on VolumeSnapshot " in step}
    [content_name] = {step.split()[-1] for step in cluster.steps if " on VolumeSnapshotContent " in step}
    expected = [
        "Backup nightly: InProgress",
        "velero.io/pv on PersistentVolumeClaim data",
        "velero.io/csi-pvc-backupper on PersistentVolumeClaim data",
        f"velero.io/csi-volumesnapshot-backupper on VolumeSnapshot {snapshot_name}",
        f"velero-py-plugin.io/volumesnapshotcontent-backupper on VolumeSnapshotContent {content_name}",
        f"velero-py-plugin.io/volumesnapshot-backupper on VolumeSnapshot {snapshot_name}",
        "velero-py-plugin.io/pvc-backupper on PersistentVolumeClaim data",
        f"Operation of velero.io/csi-volumesnapshot-backupper on {snapshot_name}: Completed",
        "Backup nightly: WaitingForPluginOperations",
        "Operation of velero-py-plugin.io/pvc-backupper on data: Completed",
        "Backup nightly: Finalizing",
        f"velero.io/csi-volumesnapshot-backupper on VolumeSnapshot {snapshot_name}",
        f"velero-py-plugin.io/volumesnapshot-backupper on VolumeSnapshot {snapshot_name}",
        f"velero-py-plugin.io/volumesnapshotcontent-backupper on VolumeSnapshotContent {content_name}",
        "Backup nightly: Completed",
    ]
    assert cluster.steps == expected


def test_restore_brings_the_data_from_the_repository(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = completed_backup(cluster)
    cluster.destroy_claim()
    cluster.steps.clear()
    cluster.on_progress = lambda: None if cluster.kube.list(PV) else cluster.deliver()
    outcome = cluster.velero().restore("rescue", backup)
    assert (outcome.phase, outcome.errors) == ("Completed", ())
    assert (cluster.volume() / "file").read_text() == "from 3f0a"
    claim = cluster.kube.get(PVC, "data", "app")
    assert "dataSource" not in claim["spec"]
    assert claim["metadata"]["labels"] == {
        "app": "shop",
        "velero.io/backup-name": "nightly",
        "velero.io/restore-name": "rescue",
    }
    [volume] = cluster.kube.list(PV)
    assert volume["metadata"]["labels"] == {"tier": "gold"}
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert cluster.kube.list(VOLUME_SNAPSHOT) == []
    assert cluster.kube.list(VOLUME_SNAPSHOT_CONTENT) == []
    assert cluster.kube.list(CONFIG_MAP) == []
    assert [step for step in cluster.steps if step.endswith(": skipped")] == [
        f"{kind} {name}: skipped"
        for kind, name in (
            ("VolumeSnapshotContent", stored_items(backup.tarball, VOLUME_SNAPSHOT_CONTENT)[0]["metadata"]["name"]),
            ("VolumeSnapshot", stored_items(backup.tarball, VOLUME_SNAPSHOT)[0]["metadata"]["name"]),
            ("DataUpload", stored_items(backup.tarball, DATA_UPLOAD)[0]["metadata"]["name"]),
        )
    ]


def test_restore_into_another_namespace_and_cluster(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = completed_backup(cluster)
    cluster.destroy_claim()
    cluster.kube.delete(BACKUP, "nightly", "velero")
    cluster.on_progress = lambda: None if cluster.kube.list(PV) else cluster.deliver()
    outcome = cluster.velero().restore("rescue", backup, namespace_mapping={"app": "rescued"})
    assert (outcome.phase, outcome.errors) == ("Completed", ())
    assert (cluster.volume("rescued") / "file").read_text() == "from 3f0a"
    assert "Backup nightly found in the backup storage location" in cluster.steps
    [download] = cluster.kube.list(DATA_DOWNLOAD)
    assert download["spec"]["sourceNamespace"] == "app"


def test_a_failed_upload_leaves_the_local_snapshot_to_restore_from(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = failed_backup(cluster)
    assert (backup.phase, backup.errors) == ("PartiallyFailed", ("the disk is on fire",))
    assert "Backup nightly: FinalizingPartiallyFailed" in cluster.steps
    cluster.destroy_claim()
    outcome = cluster.velero().restore("rescue", backup)
    assert (outcome.phase, outcome.errors, outcome.operations) == ("Completed", (), ())
    assert (cluster.volume() / "file").read_text() == "precious"
    assert cluster.kube.list(DATA_DOWNLOAD) == []


def test_without_upload_and_snapshot_the_restore_fails_at_once(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = failed_backup(cluster)
    cluster.destroy_claim()
    tarball = {path: item for path, item in backup.tarball.items() if "volumesnapshot" not in path}
    lost = BackupOutcome(backup.backup, tarball, (), (), ())
    outcome = cluster.velero(resource_timeout=3600).restore("rescue", lost)
    assert outcome.phase == "PartiallyFailed"
    [error] = outcome.errors
    assert error.startswith(
        "error preparing persistentvolumeclaims/data: velero-py-plugin.io/pvc-restorer: rpc error: "
    )
    assert cluster.kube.list(PVC) == []


def test_a_failed_download_fails_the_restore(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = completed_backup(cluster)
    cluster.destroy_claim()
    cluster.on_progress = lambda: cluster.set_download_status(phase="Failed", message="a blob is missing")
    outcome = cluster.velero(resource_timeout=0).restore("rescue", backup)
    assert outcome.phase == "PartiallyFailed"
    assert outcome.errors == (
        "a blob is missing",
        "fail to patch dynamic PV of app/data: context deadline exceeded",
    )


def test_an_existing_claim_is_not_touched(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = completed_backup(cluster)
    outcome = cluster.velero().restore("rescue", backup)
    assert (outcome.phase, outcome.operations) == ("Completed", ())
    assert outcome.warnings == ("persistentvolumeclaims data exists already and is left as it is",)
    assert (cluster.volume() / "file").read_text() == "precious"
    assert cluster.kube.list(DATA_DOWNLOAD) == []


def test_a_restore_without_volumes_makes_an_empty_claim(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = completed_backup(cluster)
    cluster.destroy_claim()
    outcome = cluster.velero().restore("rescue", backup, restore_volumes=False)
    assert (outcome.phase, outcome.operations) == ("Completed", ())
    cluster.csi.settle()
    assert list(cluster.volume().iterdir()) == []
    assert cluster.kube.list(VOLUME_SNAPSHOT) == []


def test_an_upload_nobody_takes_times_out_and_is_canceled(cluster: Cluster) -> None:
    cluster.make_claim()
    backup = cluster.velero(operation_timeout=0).backup("nightly", "app", "data")
    assert (backup.phase, backup.errors) == ("PartiallyFailed", ("Asynchronous action timed out",))
    [upload] = cluster.kube.list(DATA_UPLOAD)
    assert upload["spec"]["cancel"] is True
    [snapshot] = stored_items(backup.tarball, VOLUME_SNAPSHOT)
    assert snapshot["metadata"]["annotations"][PHASE] == "New"


def test_an_upload_that_cannot_be_made_fails_the_backup_in_part(
    cluster: Cluster, kubernetes_api: KubernetesApi
) -> None:
    cluster.make_claim()
    kubernetes_api.fail_next("POST", "datauploads", 403)
    backup = cluster.velero().backup("nightly", "app", "data")
    assert backup.phase == "PartiallyFailed"
    assert len(backup.errors) == 2
    assert "is not uploaded: " in backup.errors[0]
    assert "has no DataUpload; only its local snapshot " in backup.errors[1]
    assert len(stored_items(backup.tarball, PVC)) == 1
    cluster.destroy_claim()
    outcome = cluster.velero().restore("rescue", backup)
    assert (outcome.phase, outcome.errors) == ("Completed", ())
    assert (cluster.volume() / "file").read_text() == "precious"


def test_a_deleted_upload_fails_its_operation(cluster: Cluster) -> None:
    cluster.make_claim()

    def delete() -> None:
        for upload in cluster.kube.list(DATA_UPLOAD):
            cluster.kube.delete(DATA_UPLOAD, upload["metadata"]["name"], "velero")

    cluster.on_progress = delete
    backup = cluster.velero().backup("nightly", "app", "data")
    assert backup.phase == "PartiallyFailed"
    [error] = backup.errors
    assert "it was deleted" in error
    assert stored_items(backup.tarball, DATA_UPLOAD) == []
    [snapshot] = stored_items(backup.tarball, VOLUME_SNAPSHOT)
    assert PHASE not in snapshot["metadata"]["annotations"]


def test_a_storage_that_takes_no_snapshot_fails_the_claim(cluster: Cluster) -> None:
    claim = cluster.make_claim()
    cluster.volume().rename(cluster.volume().with_name("gone"))
    backup = cluster.velero(snapshot_timeout=0).backup("nightly", "app", "data")
    assert backup.phase == "PartiallyFailed"
    assert "got no handle in time" in backup.errors[0]
    assert claim["metadata"]["name"] == "data"
    assert stored_items(backup.tarball, PVC) == []
    assert cluster.kube.list(VOLUME_SNAPSHOT) == []
