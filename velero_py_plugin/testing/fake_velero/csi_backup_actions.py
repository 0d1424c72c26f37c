"""Velero's own backup actions for CSI volumes, for a backup without ``snapshotMoveData``.

Sources: vmware-tanzu/velero v1.18.1 ``pkg/backup/actions/backup_pv_action.go``,
``pkg/backup/actions/csi/pvc_action.go``, ``pkg/backup/actions/csi/volumesnapshot_action.go``.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from velero_py_plugin.api.names import (
    BACKUP_NAME_LABEL,
    MUST_INCLUDE_ADDITIONAL_ITEMS,
    RESTORE_NAME_LABEL,
    VOLUME_SNAPSHOT_NAME,
    valid_name,
)
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
from velero_py_plugin.plugin.kinds import (
    BackupItemActionResult,
    OperationProgress,
    ResourceIdentifier,
    ResourceSelector,
)

FINALIZING_PHASES: Final = ("Finalizing", "FinalizingPartiallyFailed")


class BackupAction(Protocol):
    """What a backup asks of an action, in-tree or in a plugin process."""

    def applies_to(self) -> ResourceSelector:
        """Says which objects it wants to see."""

    def execute(self, item: dict[str, Any], backup: dict[str, Any], /) -> BackupItemActionResult:
        """Looks at one object."""


class SnapshotFailedError(PermanentError):
    """A CSI snapshot could not be taken, or did not get a handle in time."""

    reason: ClassVar[str] = "SnapshotFailed"


class PVBackupAction:
    """``velero.io/pv``: a bound claim takes its volume along and loses what bound it."""

    def applies_to(self) -> ResourceSelector:
        """Claims."""
        return ResourceSelector(included_resources=(PVC.group_resource,))

    def execute(self, item: dict[str, Any], backup: dict[str, Any], /) -> BackupItemActionResult:
        """Drops data sources, the selector, and labels of earlier backups and restores."""
        claim = copy.deepcopy(item)
        spec, labels = claim["spec"], claim["metadata"].get("labels") or {}
        for field in ("dataSource", "dataSourceRef", "selector"):
            spec.pop(field, None)
        for label in (RESTORE_NAME_LABEL, VOLUME_SNAPSHOT_NAME):
            labels.pop(label, None)
        if labels.get(BACKUP_NAME_LABEL) != backup["metadata"]["name"]:
            labels.pop(BACKUP_NAME_LABEL, None)
        volume = ResourceIdentifier(PV.group, PV.plural, "", spec["volumeName"])
        return BackupItemActionResult(item=claim, additional_items=(volume,))


class CsiPVCBackupAction:
    """``velero.io/csi-pvc-backupper``: takes the snapshot and waits for its handle.

    Args:
        kube: The cluster.
        wait_for: Waits until a function returns something, at most so many seconds; None when it never does.
        timeout: Seconds to wait for the handle.
    """

    def __init__(
        self, kube: KubeClient, wait_for: Callable[[Callable[[], str | None], float], str | None], timeout: float
    ) -> None:
        self._kube = kube
        self._wait_for = wait_for
        self._timeout = timeout

    def applies_to(self) -> ResourceSelector:
        """Claims."""
        return ResourceSelector(included_resources=(PVC.group_resource,))

    def execute(self, item: dict[str, Any], backup: dict[str, Any], /) -> BackupItemActionResult:
        """Makes the VolumeSnapshot and names it on the claim."""
        if backup["status"]["phase"] in FINALIZING_PHASES:
            return BackupItemActionResult()
        meta, backup_name = item["metadata"], backup["metadata"]["name"]
        body = {
            "metadata": {
                "generateName": f"velero-{meta['name']}-",
                "labels": {**(meta.get("labels") or {}), BACKUP_NAME_LABEL: valid_name(backup_name)},
            },
            "spec": {
                "source": {"persistentVolumeClaimName": meta["name"]},
                "volumeSnapshotClassName": self._snapshot_class(item["spec"]["storageClassName"]),
            },
        }
        name = self._kube.create(VOLUME_SNAPSHOT, body, meta["namespace"])["metadata"]["name"]
        if self._wait_for(lambda: self._handle(name, meta["namespace"]), self._timeout) is None:
            self._kube.delete(VOLUME_SNAPSHOT, name, meta["namespace"])
            raise SnapshotFailedError(f"VolumeSnapshot {meta['namespace']}/{name} got no handle in time.")
        claim = copy.deepcopy(item)
        names = {VOLUME_SNAPSHOT_NAME: name, BACKUP_NAME_LABEL: backup_name}
        claim["metadata"]["labels"] = {**(meta.get("labels") or {}), **names}
        claim["metadata"]["annotations"] = {
            **(meta.get("annotations") or {}),
            VOLUME_SNAPSHOT_NAME: name,
            MUST_INCLUDE_ADDITIONAL_ITEMS: "true",
        }
        snapshot = ResourceIdentifier(VOLUME_SNAPSHOT.group, VOLUME_SNAPSHOT.plural, meta["namespace"], name)
        return BackupItemActionResult(item=claim, additional_items=(snapshot,))

    def _snapshot_class(self, storage_class: str) -> str:
        """The class of the driver; Velero's annotations and labels that choose among several are not played."""
        driver = self._kube.get(STORAGE_CLASS, storage_class)["provisioner"]
        names = [
            item["metadata"]["name"] for item in self._kube.list(VOLUME_SNAPSHOT_CLASS) if item["driver"] == driver
        ]
        if len(names) != 1:
            raise SnapshotFailedError(f"Driver {driver} has {len(names)} VolumeSnapshotClasses; one is expected.")
        return str(names[0])

    def _handle(self, name: str, namespace: str) -> str | None:
        snapshot = self._kube.get(VOLUME_SNAPSHOT, name, namespace)
        bound = (snapshot.get("status") or {}).get("boundVolumeSnapshotContentName")
        if not bound:
            return None
        content = self._kube.get(VOLUME_SNAPSHOT_CONTENT, bound)
        return (content.get("status") or {}).get("snapshotHandle")


class CsiVolumeSnapshotBackupAction:
    """``velero.io/csi-volumesnapshot-backupper``: describes the snapshot; removes its objects at the end.

    Args:
        kube: The cluster.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    def applies_to(self) -> ResourceSelector:
        """VolumeSnapshots."""
        return ResourceSelector(included_resources=(VOLUME_SNAPSHOT.group_resource,))

    def execute(self, item: dict[str, Any], backup: dict[str, Any], /) -> BackupItemActionResult:
        """Takes class and content along and starts Velero's own operation; while finalizing, deletes both objects."""
        meta = item["metadata"]
        content_name = item["status"]["boundVolumeSnapshotContentName"]
        if backup["status"]["phase"] in FINALIZING_PHASES:
            self._kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, content_name, {"spec": {"deletionPolicy": "Retain"}})
            self._kube.delete(VOLUME_SNAPSHOT_CONTENT, content_name)
            self._kube.delete(VOLUME_SNAPSHOT, meta["name"], meta["namespace"])
            return BackupItemActionResult()
        label = {"metadata": {"labels": {BACKUP_NAME_LABEL: valid_name(backup["metadata"]["name"])}}}
        content = self._kube.merge_patch(VOLUME_SNAPSHOT_CONTENT, content_name, label)
        annotations = {
            "velero.io/csi-volumesnapshot-handle": content["status"]["snapshotHandle"],
            "velero.io/csi-driver-name": content["spec"]["driver"],
            "velero.io/csi-vsc-deletion-policy": content["spec"]["deletionPolicy"],
            "velero.io/csi-volumesnapshot-restore-size": str(content["status"].get("restoreSize", 0)),
        }
        patch = {"metadata": {"annotations": annotations}}
        snapshot = self._kube.merge_patch(VOLUME_SNAPSHOT, meta["name"], patch, meta["namespace"])
        snapshot["metadata"]["annotations"][MUST_INCLUDE_ADDITIONAL_ITEMS] = "true"
        self_id = ResourceIdentifier(VOLUME_SNAPSHOT.group, VOLUME_SNAPSHOT.plural, meta["namespace"], meta["name"])
        content_id = ResourceIdentifier(VOLUME_SNAPSHOT_CONTENT.group, VOLUME_SNAPSHOT_CONTENT.plural, "", content_name)
        class_id = ResourceIdentifier(
            VOLUME_SNAPSHOT_CLASS.group,
            VOLUME_SNAPSHOT_CLASS.plural,
            "",
            item["spec"]["volumeSnapshotClassName"],
        )
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return BackupItemActionResult(
            item=snapshot,
            additional_items=(class_id, content_id),
            operation_id=f"{meta['namespace']}/{meta['name']}/{now}",
            post_operation_items=(self_id, content_id),
        )

    def progress(self, operation_id: str, owner: dict[str, Any], /) -> OperationProgress:  # noqa: ARG002 - protocol
        """Done when the content is ready to use."""
        namespace, name, started = operation_id.split("/")
        snapshot = self._kube.get(VOLUME_SNAPSHOT, name, namespace)
        content = self._kube.get(VOLUME_SNAPSHOT_CONTENT, snapshot["status"]["boundVolumeSnapshotContentName"])
        ready = bool((content.get("status") or {}).get("readyToUse"))
        return OperationProgress(completed=ready, started=datetime.datetime.fromisoformat(started))

    def cancel(self, operation_id: str, owner: dict[str, Any], /) -> None:
        """Nothing: a snapshot cannot be stopped."""
