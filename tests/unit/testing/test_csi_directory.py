"""The CSI driver of folders against an API server."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from velero_py_plugin.api.resource import NAMESPACE, PV, PVC, VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.csi_directory import DRIVER, DirectoryCsi, DirectoryCsiError
from velero_py_plugin.testing.kubernetes_api import KubernetesApi


@pytest.fixture
def kube() -> Iterator[KubeClient]:
    with KubernetesApi() as api, KubeClient(api.kube_config(), timeout=5) as client:
        client.create(NAMESPACE, {"metadata": {"name": "app"}})
        yield client


@pytest.fixture
def csi(kube: KubeClient, tmp_path: Path) -> DirectoryCsi:
    driver = DirectoryCsi(kube, tmp_path)
    driver.install()
    return driver


def make_claim(kube: KubeClient, name: str = "data", **spec: Any) -> dict[str, Any]:
    body = {
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "directory",
            **spec,
        },
    }
    return kube.create(PVC, body, "app")


def volume_of(kube: KubeClient, csi: DirectoryCsi, claim_name: str = "data") -> Path:
    claim = kube.get(PVC, claim_name, "app")
    assert claim["status"]["phase"] == "Bound"
    volume = kube.get(PV, claim["spec"]["volumeName"])
    return csi.path_of_volume(volume["spec"]["csi"]["volumeHandle"])


def make_snapshot(kube: KubeClient, csi: DirectoryCsi) -> tuple[dict[str, Any], dict[str, Any]]:
    """A ready snapshot of a claim with one file, and its content."""
    make_claim(kube)
    csi.settle()
    (volume_of(kube, csi) / "file").write_bytes(b"first")
    body = {
        "metadata": {"name": "snap"},
        "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "directory-snapshots"},
    }
    kube.create(VOLUME_SNAPSHOT, body, "app")
    csi.settle()
    snapshot = kube.get(VOLUME_SNAPSHOT, "snap", "app")
    return snapshot, kube.get(VOLUME_SNAPSHOT_CONTENT, snapshot["status"]["boundVolumeSnapshotContentName"])


def static_content(handle: str, name: str = "clone", policy: str = "Retain") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "deletionPolicy": policy,
            "driver": DRIVER,
            "source": {"snapshotHandle": handle},
            "volumeSnapshotRef": {"namespace": "app", "name": name},
        },
    }


def static_snapshot(name: str = "clone") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"source": {"volumeSnapshotContentName": name}}}


def test_a_claim_gets_an_empty_volume_and_is_bound(kube: KubeClient, csi: DirectoryCsi) -> None:
    claim = make_claim(kube)
    csi.settle()
    assert list(volume_of(kube, csi).iterdir()) == []
    [volume] = kube.list(PV)
    assert volume["status"]["phase"] == "Bound"
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}
    assert not csi.reconcile()


@pytest.mark.parametrize(
    "spec",
    [{"selector": {"matchLabels": {"a": "b"}}}, {"storageClassName": "unknown"}, {"volumeMode": "Block"}],
    ids=["selector", "class", "block"],
)
def test_other_claims_stay_pending(spec: dict[str, Any], kube: KubeClient, csi: DirectoryCsi) -> None:
    make_claim(kube, **spec)
    csi.settle()
    assert kube.get(PVC, "data", "app")["status"]["phase"] == "Pending"
    assert kube.list(PV) == []


def test_a_snapshot_keeps_the_data_of_its_moment(kube: KubeClient, csi: DirectoryCsi) -> None:
    snapshot, content = make_snapshot(kube, csi)
    assert snapshot["status"] == {
        "boundVolumeSnapshotContentName": content["metadata"]["name"],
        "readyToUse": True,
        "restoreSize": "5",
    }
    assert content["status"]["readyToUse"]
    (volume_of(kube, csi) / "file").write_bytes(b"second")
    assert (csi.path_of_snapshot(content["status"]["snapshotHandle"]) / "file").read_bytes() == b"first"
    assert not csi.reconcile()


def test_a_snapshot_keeps_everything_a_file_system_does(kube: KubeClient, csi: DirectoryCsi) -> None:
    make_claim(kube)
    csi.settle()
    source = volume_of(kube, csi)
    (source / "folder").mkdir(mode=0o750)
    (source / "folder" / "a").write_bytes(b"a")
    (source / "folder" / "a").chmod(0o4711)
    os.utime(source / "folder" / "a", ns=(1_000_000_001, 1_234_567_890_123_456_789))
    os.link(source / "folder" / "a", source / "b")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    with open(source / "hole", "wb") as file:
        file.truncate(1 << 30)
    with contextlib.suppress(OSError):  # a tmpfs before Linux 6.6 has no such attributes
        os.setxattr(source / "b", "user.colour", b"red")
    os.utime(source / "folder", ns=(0, 5_000_000_000))
    (source / "folder").chmod(0o550)
    body = {
        "metadata": {"name": "snap"},
        "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "directory-snapshots"},
    }
    kube.create(VOLUME_SNAPSHOT, body, "app")
    csi.settle()
    [content] = kube.list(VOLUME_SNAPSHOT_CONTENT)
    target = csi.path_of_snapshot(content["status"]["snapshotHandle"])
    for name in ("folder", "folder/a", "b", "pipe", "hole"):
        before, after = (source / name).lstat(), (target / name).lstat()
        assert (after.st_mode, after.st_uid, after.st_gid, after.st_mtime_ns, after.st_nlink) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
            before.st_mtime_ns,
            before.st_nlink,
        ), name
    assert (target / "b").samefile(target / "folder" / "a")
    assert (target / "dangling").readlink() == Path("nowhere")
    assert stat.S_ISFIFO((target / "pipe").lstat().st_mode)
    assert (target / "hole").lstat().st_blocks < 100
    assert os.listxattr(target / "folder" / "a") == os.listxattr(source / "folder" / "a")
    kube.delete(VOLUME_SNAPSHOT, "snap", "app")
    csi.settle()
    assert not target.exists()


def test_a_claim_is_filled_from_a_snapshot(kube: KubeClient, csi: DirectoryCsi) -> None:
    make_snapshot(kube, csi)
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "snap"}
    make_claim(kube, "copy", dataSource=source)
    csi.settle()
    assert (volume_of(kube, csi, "copy") / "file").read_bytes() == b"first"


def test_a_claim_waits_for_its_snapshot(kube: KubeClient, csi: DirectoryCsi) -> None:
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "clone"}
    make_claim(kube, dataSource=source)
    csi.settle()
    kube.create(VOLUME_SNAPSHOT, static_snapshot(), "app")
    csi.settle()
    assert kube.get(PVC, "data", "app")["status"]["phase"] == "Pending"


def test_a_snapshot_waits_for_its_claim(kube: KubeClient, csi: DirectoryCsi) -> None:
    make_claim(kube, storageClassName="unknown")
    body = {
        "metadata": {"name": "snap"},
        "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "directory-snapshots"},
    }
    kube.create(VOLUME_SNAPSHOT, body, "app")
    csi.settle()
    assert kube.list(VOLUME_SNAPSHOT_CONTENT) == []


def test_a_deleted_snapshot_goes_with_its_data(kube: KubeClient, csi: DirectoryCsi) -> None:
    _, content = make_snapshot(kube, csi)
    kube.delete(VOLUME_SNAPSHOT, "snap", "app")
    csi.settle()
    assert kube.list(VOLUME_SNAPSHOT_CONTENT) == []
    assert not csi.path_of_snapshot(content["status"]["snapshotHandle"]).exists()


def test_a_retained_snapshot_outlives_its_objects_and_can_be_bound_again(kube: KubeClient, csi: DirectoryCsi) -> None:
    _, content = make_snapshot(kube, csi)
    name, handle = content["metadata"]["name"], content["status"]["snapshotHandle"]
    kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, name, {"spec": {"deletionPolicy": "Retain"}})
    kube.delete(VOLUME_SNAPSHOT_CONTENT, name)
    kube.delete(VOLUME_SNAPSHOT, "snap", "app")
    csi.settle()
    assert kube.list(VOLUME_SNAPSHOT_CONTENT) == []
    assert csi.path_of_snapshot(handle).is_dir()
    kube.create(VOLUME_SNAPSHOT, static_snapshot(), "app")
    csi.settle()
    kube.create(VOLUME_SNAPSHOT_CONTENT, static_content(handle))
    csi.settle()
    clone = kube.get(VOLUME_SNAPSHOT, "clone", "app")
    assert clone["status"]["readyToUse"]
    assert kube.get(VOLUME_SNAPSHOT_CONTENT, "clone")["status"]["snapshotHandle"] == handle
    uid = kube.get(VOLUME_SNAPSHOT_CONTENT, "clone")["spec"]["volumeSnapshotRef"]["uid"]
    assert uid == clone["metadata"]["uid"]


def test_an_unknown_handle_is_an_error_on_both_objects(kube: KubeClient, csi: DirectoryCsi) -> None:
    kube.create(VOLUME_SNAPSHOT_CONTENT, static_content("nowhere"))
    kube.create(VOLUME_SNAPSHOT, static_snapshot(), "app")
    csi.settle()
    snapshot = kube.get(VOLUME_SNAPSHOT, "clone", "app")
    assert snapshot["status"]["error"] == {"message": "The storage has no snapshot nowhere."}
    assert not snapshot["status"]["readyToUse"]


def test_a_content_of_another_snapshot_is_not_bound(kube: KubeClient, csi: DirectoryCsi) -> None:
    content = static_content("nowhere")
    content["spec"]["volumeSnapshotRef"]["name"] = "somebody"
    kube.create(VOLUME_SNAPSHOT_CONTENT, content)
    kube.create(VOLUME_SNAPSHOT, static_snapshot(), "app")
    csi.settle()
    assert "status" not in kube.get(VOLUME_SNAPSHOT, "clone", "app")


def test_other_drivers_objects_are_not_touched(kube: KubeClient, csi: DirectoryCsi) -> None:
    content = static_content("nowhere")
    content["spec"]["driver"] = "csi.example.com"
    kube.create(VOLUME_SNAPSHOT_CONTENT, content)
    body = {
        "metadata": {"name": "foreign"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "csi.example.com", "volumeHandle": "x"},
        },
    }
    volume = kube.create(PV, body)
    assert not csi.reconcile()
    assert kube.get(PV, "foreign") == volume


@pytest.mark.parametrize(("policy", "kept"), [("Delete", False), ("Retain", True)])
def test_a_volume_is_reclaimed_as_its_policy_says(policy: str, kept: bool, kube: KubeClient, csi: DirectoryCsi) -> None:
    make_claim(kube)
    csi.settle()
    path = volume_of(kube, csi)
    [volume] = kube.list(PV)
    name = volume["metadata"]["name"]
    kube.merge_patch(PV, name, {"spec": {"persistentVolumeReclaimPolicy": policy}})
    kube.delete(PVC, "data", "app")
    csi.settle()
    assert path.exists() is kept
    assert [item["status"]["phase"] for item in kube.list(PV)] == (["Released"] if kept else [])


def test_a_volume_is_handed_over_to_a_claim_with_a_selector(kube: KubeClient, csi: DirectoryCsi) -> None:
    make_claim(kube, "mover")
    csi.settle()
    path = volume_of(kube, csi, "mover")
    (path / "file").write_bytes(b"restored")
    [volume] = kube.list(PV)
    name = volume["metadata"]["name"]
    target = make_claim(kube, selector={"matchLabels": {"velero.io/dynamic-pv-restore": "app.data.x"}})
    kube.merge_patch(PV, name, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
    kube.delete(PVC, "mover", "app")
    csi.settle()
    reference = {"namespace": "app", "name": "data", "uid": target["metadata"]["uid"]}
    kube.merge_patch(PV, name, {"spec": {"claimRef": reference}})
    csi.settle()
    assert kube.get(PVC, "data", "app")["status"]["phase"] == "Pending"
    kube.merge_patch(PV, name, {"metadata": {"labels": {"velero.io/dynamic-pv-restore": "app.data.x"}}})
    csi.settle()
    assert volume_of(kube, csi) == path
    assert (path / "file").read_bytes() == b"restored"
    assert not csi.reconcile()


def test_a_volume_without_claim_is_available(kube: KubeClient, csi: DirectoryCsi) -> None:
    body = {
        "metadata": {"name": "free"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": DRIVER, "volumeHandle": "free"},
        },
    }
    kube.create(PV, body)
    csi.settle()
    assert kube.get(PV, "free")["status"]["phase"] == "Available"


def test_a_volume_reserved_for_a_claim_to_come_waits(kube: KubeClient, csi: DirectoryCsi) -> None:
    body = {
        "metadata": {"name": "free"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": DRIVER, "volumeHandle": "free"},
            "claimRef": {"namespace": "app", "name": "later"},
        },
    }
    kube.create(PV, body)
    assert not csi.reconcile()


@pytest.mark.parametrize("handle", ["", "..", ".hidden", "a/b", "/etc", "a\0b"])
def test_a_handle_never_leaves_the_root(handle: str, csi: DirectoryCsi) -> None:
    with pytest.raises(DirectoryCsiError):
        csi.path_of_volume(handle)
    with pytest.raises(DirectoryCsiError):
        csi.path_of_snapshot(handle)


def test_a_copy_that_fails_is_an_error_and_leaves_nothing(kube: KubeClient, csi: DirectoryCsi, tmp_path: Path) -> None:
    content = static_content("unused", policy="Delete")
    content["spec"]["source"] = {"volumeHandle": "no-such-volume"}
    kube.create(VOLUME_SNAPSHOT_CONTENT, content)
    csi.settle()
    status = kube.get(VOLUME_SNAPSHOT_CONTENT, "clone")["status"]
    assert not status["readyToUse"]
    assert "no-such-volume" in status["error"]["message"]
    assert list((tmp_path / "snapshots").iterdir()) == []
