"""A CSI driver whose volumes and snapshots are folders, for the demo and the tests.

Plays four programs of a real cluster: the external provisioner, the snapshot controller, the external snapshotter with
its driver, and the binder of claims to volumes. It changes objects the way they do (kubernetes-csi/external-snapshotter
v8 ``pkg/common-controller``, ``pkg/sidecar-controller``; kubernetes ``pkg/controller/volume/persistentvolume``), as far
as backup software can see it. Storage classes always bind immediately.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from velero_py_plugin.api.resource import (
    PV,
    PVC,
    STORAGE_CLASS,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
    VOLUME_SNAPSHOT_CONTENT,
)
from velero_py_plugin.errors import PermanentError
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import NotFoundError

DRIVER: Final = "directory.csi.velero-py-plugin.io"
STORAGE_CLASS_NAME: Final = "directory"
SNAPSHOT_CLASS_NAME: Final = "directory-snapshots"

_CONTENT_FINALIZER: Final = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
_HANDLE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_MAX_PASSES: Final = 50


class DirectoryCsiError(PermanentError):
    """A volume or snapshot folder cannot be made, found or removed."""

    reason: ClassVar[str] = "DirectoryCsi"


class DirectoryCsi:
    """The driver and the controllers around it.

    Args:
        kube: The cluster.
        root: Existing folder that holds all volumes and snapshots.
    """

    def __init__(self, kube: KubeClient, root: Path) -> None:
        self._kube = kube
        self._root = root
        self._lock = threading.Lock()
        for kind in ("volumes", "snapshots"):
            (root / kind).mkdir(exist_ok=True)

    def install(self) -> None:
        """Creates the StorageClass and the VolumeSnapshotClass."""
        self._kube.create(
            STORAGE_CLASS,
            {
                "metadata": {"name": STORAGE_CLASS_NAME},
                "provisioner": DRIVER,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
            },
        )
        self._kube.create(
            VOLUME_SNAPSHOT_CLASS,
            {"metadata": {"name": SNAPSHOT_CLASS_NAME}, "driver": DRIVER, "deletionPolicy": "Delete"},
        )

    def path_of_volume(self, handle: str) -> Path:
        """The folder that is the volume.

        Args:
            handle: ``spec.csi.volumeHandle`` of its PersistentVolume.
        """
        return self._path("volumes", handle)

    def path_of_snapshot(self, handle: str) -> Path:
        """The folder that is the snapshot.

        Args:
            handle: ``status.snapshotHandle`` of its VolumeSnapshotContent.
        """
        return self._path("snapshots", handle)

    def settle(self) -> None:
        """Reconciles until there is nothing left to do.

        Raises:
            DirectoryCsiError: The objects never come to rest.
        """
        for _ in range(_MAX_PASSES):
            if not self.reconcile():
                return
        raise DirectoryCsiError(f"Volumes and snapshots still change after {_MAX_PASSES} passes.")

    def reconcile(self) -> bool:
        """Looks at every object once and does what it asks for.

        Returns:
            Whether anything was changed, so that another look may find more to do.
        """
        steps = (
            (VOLUME_SNAPSHOT, self._sync_snapshot),
            (VOLUME_SNAPSHOT_CONTENT, self._sync_content),
            (PVC, self._provision),
            (PV, self._sync_volume),
        )
        changed = False
        with self._lock:
            for resource, step in steps:
                for item in self._kube.list(resource):
                    try:
                        changed |= step(item)
                    except NotFoundError:
                        continue  # somebody removed it, or what it names, meanwhile; the next pass sees that
        return changed

    # The snapshot controller

    def _sync_snapshot(self, snapshot: Mapping[str, Any]) -> bool:
        """Binds a VolumeSnapshot to its content, then passes the content's state on."""
        meta, status = snapshot["metadata"], snapshot.get("status") or {}
        bound = status.get("boundVolumeSnapshotContentName")
        if status.get("readyToUse") or "deletionTimestamp" in meta:
            return False
        content = self._kube.get(VOLUME_SNAPSHOT_CONTENT, bound) if bound else self._content_for(snapshot)
        if content is None or content["spec"]["driver"] != DRIVER:
            return False
        content_status = content.get("status") or {}
        wanted: dict[str, Any] = {"boundVolumeSnapshotContentName": content["metadata"]["name"], "readyToUse": False}
        if error := content_status.get("error"):
            wanted["error"] = error
        elif content_status.get("readyToUse"):
            wanted["readyToUse"] = True
            wanted["restoreSize"] = str(content_status["restoreSize"])
        if all(status.get(key) == value for key, value in wanted.items()):
            return False
        self._kube.merge_patch(VOLUME_SNAPSHOT, meta["name"], {"status": wanted}, meta["namespace"], status=True)
        return True

    def _content_for(self, snapshot: Mapping[str, Any]) -> dict[str, Any] | None:
        """The content a VolumeSnapshot names, or a new one for the claim it names; None while it must wait."""
        meta, spec = snapshot["metadata"], snapshot["spec"]
        if content_name := spec["source"].get("volumeSnapshotContentName"):
            content = self._kube.get(VOLUME_SNAPSHOT_CONTENT, content_name)
            reference = content["spec"]["volumeSnapshotRef"]
            if (reference["namespace"], reference["name"]) != (meta["namespace"], meta["name"]):
                return None
            return self._kube.merge_patch(
                VOLUME_SNAPSHOT_CONTENT, content_name, {"spec": {"volumeSnapshotRef": {"uid": meta["uid"]}}}
            )
        snapshot_class = self._kube.get(VOLUME_SNAPSHOT_CLASS, spec["volumeSnapshotClassName"])
        claim = self._kube.get(PVC, spec["source"]["persistentVolumeClaimName"], meta["namespace"])
        if snapshot_class["driver"] != DRIVER or (claim.get("status") or {}).get("phase") != "Bound":
            return None
        volume = self._kube.get(PV, claim["spec"]["volumeName"])
        body = {
            "metadata": {"name": f"snapcontent-{meta['uid']}", "finalizers": [_CONTENT_FINALIZER]},
            "spec": {
                "deletionPolicy": snapshot_class["deletionPolicy"],
                "driver": DRIVER,
                "source": {"volumeHandle": volume["spec"]["csi"]["volumeHandle"]},
                "volumeSnapshotClassName": snapshot_class["metadata"]["name"],
                "volumeSnapshotRef": {
                    "apiVersion": VOLUME_SNAPSHOT.api_version,
                    "kind": VOLUME_SNAPSHOT.kind,
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
            },
        }
        return self._kube.create(VOLUME_SNAPSHOT_CONTENT, body)

    # The external snapshotter

    def _sync_content(self, content: Mapping[str, Any]) -> bool:
        """Takes or finds the snapshot of a content; removes it when the content goes and its policy says so."""
        meta, spec, status = content["metadata"], content["spec"], content.get("status") or {}
        if spec["driver"] != DRIVER:
            return False
        finalizers = meta.get("finalizers") or []
        if "deletionTimestamp" in meta:
            if _CONTENT_FINALIZER not in finalizers:
                return False
            if spec["deletionPolicy"] == "Delete" and status.get("snapshotHandle"):
                _remove_tree(self.path_of_snapshot(status["snapshotHandle"]))
            rest = [name for name in finalizers if name != _CONTENT_FINALIZER]
            self._kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, meta["name"], {"metadata": {"finalizers": rest}})
            return True
        if spec["deletionPolicy"] == "Delete" and self._is_orphan(spec["volumeSnapshotRef"]):
            self._kube.delete(VOLUME_SNAPSHOT_CONTENT, meta["name"])
            return True
        if _CONTENT_FINALIZER not in finalizers:
            patch = {"metadata": {"finalizers": [*finalizers, _CONTENT_FINALIZER]}}
            self._kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, meta["name"], patch)
            return True
        if status:
            return False
        try:
            wanted = self._snapshot_status(meta, spec["source"])
        except DirectoryCsiError as error:
            wanted = {"readyToUse": False, "error": {"message": str(error)}}
        self._kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, meta["name"], {"status": wanted}, status=True)
        return True

    def _snapshot_status(self, meta: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
        handle = source.get("snapshotHandle") or f"snapshot-{meta['uid']}"
        path = self.path_of_snapshot(handle)
        if "volumeHandle" in source:
            _copy_tree(self.path_of_volume(source["volumeHandle"]), path)
        elif not path.is_dir():
            raise DirectoryCsiError(f"The storage has no snapshot {handle}.")
        return {"snapshotHandle": handle, "readyToUse": True, "restoreSize": _tree_size(path)}

    def _is_orphan(self, reference: Mapping[str, Any]) -> bool:
        """Whether the VolumeSnapshot a content was bound to is gone."""
        if not reference.get("uid"):
            return False
        try:
            snapshot = self._kube.get(VOLUME_SNAPSHOT, reference["name"], reference["namespace"])
        except NotFoundError:
            return True
        return bool(snapshot["metadata"]["uid"] != reference["uid"])

    # The external provisioner

    def _provision(self, claim: Mapping[str, Any]) -> bool:
        """Makes a volume for a claim that has none; one with a selector waits for a volume that matches it."""
        meta, spec = claim["metadata"], claim["spec"]
        if spec.get("volumeName") or spec.get("selector") or not spec.get("storageClassName"):
            return False
        storage_class = self._kube.get(STORAGE_CLASS, spec["storageClassName"])
        handle = f"pvc-{meta['uid']}"
        path = self.path_of_volume(handle)
        if storage_class["provisioner"] != DRIVER or spec.get("volumeMode") == "Block" or path.exists():
            return False
        source = spec.get("dataSource") or {}
        if source.get("kind") == VOLUME_SNAPSHOT.kind:
            snapshot = self._kube.get(VOLUME_SNAPSHOT, source["name"], meta["namespace"])
            snapshot_status = snapshot.get("status") or {}
            if not snapshot_status.get("readyToUse"):
                return False
            content = self._kube.get(VOLUME_SNAPSHOT_CONTENT, snapshot_status["boundVolumeSnapshotContentName"])
            _copy_tree(self.path_of_snapshot(content["status"]["snapshotHandle"]), path)
        else:
            path.mkdir()
        body = {
            "metadata": {"name": handle, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "csi": {"driver": DRIVER, "volumeHandle": handle},
                "claimRef": _claim_reference(claim),
                "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
                "storageClassName": spec["storageClassName"],
                "volumeMode": "Filesystem",
            },
        }
        self._kube.create(PV, body)
        return True

    # The binder

    def _sync_volume(self, volume: Mapping[str, Any]) -> bool:
        """Binds a volume to the claim it is reserved for, and reclaims it when that claim is gone."""
        spec, phase = volume["spec"], (volume.get("status") or {}).get("phase")
        reference = spec.get("claimRef")
        if (spec.get("csi") or {}).get("driver") != DRIVER:
            return False
        if not reference:
            return self._set_volume_phase(volume, "Available")
        try:
            claim = self._kube.get(PVC, reference["name"], reference["namespace"])
        except NotFoundError:
            claim = None
        if claim is None or reference.get("uid", claim["metadata"]["uid"]) != claim["metadata"]["uid"]:
            return self._reclaim(volume) if reference.get("uid") else False
        bound = (claim.get("status") or {}).get("phase") == "Bound" and phase == "Bound"
        if bound or not _may_bind(claim, volume):
            return False
        meta, name = claim["metadata"], volume["metadata"]["name"]
        self._kube.merge_patch(PV, name, {"spec": {"claimRef": _claim_reference(claim)}})
        self._set_volume_phase(volume, "Bound")
        self._kube.merge_patch(
            PVC,
            meta["name"],
            {
                "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                "spec": {"volumeName": name},
            },
            meta["namespace"],
        )
        status = {"phase": "Bound", "capacity": spec["capacity"], "accessModes": spec["accessModes"]}
        self._kube.merge_patch(PVC, meta["name"], {"status": status}, meta["namespace"], status=True)
        return True

    def _reclaim(self, volume: Mapping[str, Any]) -> bool:
        if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
            return self._set_volume_phase(volume, "Released")
        _remove_tree(self.path_of_volume(volume["spec"]["csi"]["volumeHandle"]))
        self._kube.delete(PV, volume["metadata"]["name"])
        return True

    def _set_volume_phase(self, volume: Mapping[str, Any], phase: str) -> bool:
        if (volume.get("status") or {}).get("phase") == phase:
            return False
        self._kube.merge_patch(PV, volume["metadata"]["name"], {"status": {"phase": phase}}, status=True)
        return True

    def _path(self, kind: str, handle: str) -> Path:
        if not _HANDLE.fullmatch(handle):
            raise DirectoryCsiError(f"{handle!r} is not a handle of this driver.")
        return self._root / kind / handle


def _may_bind(claim: Mapping[str, Any], volume: Mapping[str, Any]) -> bool:
    spec, labels = claim["spec"], volume["metadata"].get("labels") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    return spec.get("volumeName", "") in ("", volume["metadata"]["name"]) and wanted.items() <= labels.items()


def _claim_reference(claim: Mapping[str, Any]) -> dict[str, Any]:
    meta = claim["metadata"]
    return {
        "apiVersion": PVC.api_version,
        "kind": PVC.kind,
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
    }


def _copy_tree(source: Path, target: Path) -> None:
    """Copies a folder with everything a file system keeps: owners, modes, times, links, attributes, holes.

    The copy appears under its name only when it is whole.
    """
    if target.exists():
        return
    partial = target.with_name(f".{target.name}")
    _remove_tree(partial)
    command = ["cp", "--archive", "--sparse=auto", "--no-target-directory", str(source), str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        _remove_tree(partial)
        raise DirectoryCsiError(f"The driver cannot copy {source.name}: {done.stderr.strip()}")
    partial.rename(target)


def _tree_size(path: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)


def _remove_tree(path: Path) -> None:
    """Removes a folder, read-only folders inside it included; nothing happens when it does not exist."""
    if path.exists():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o700)
        shutil.rmtree(path)
