"""Velero's own restore actions for CSI volumes, for a backup without ``snapshotMoveData``.

Sources: vmware-tanzu/velero v1.18.1 ``pkg/restore/actions/csi/``,
``pkg/restore/actions/dataupload_retrieve_action.go``, ``pkg/restore/actions/pvc_action.go``, ``pkg/util/util.go``
(names of restored snapshots).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

from velero_py_plugin.api.names import (
    DATA_UPLOAD_NAME_ANNOTATION,
    PVC_NAMESPACE_NAME_LABEL,
    RESOURCE_USAGE_DATA_UPLOAD,
    RESOURCE_USAGE_LABEL,
    RESTORE_UID_LABEL,
    VOLUME_SNAPSHOT_NAME,
    valid_name,
)
from velero_py_plugin.api.resource import (
    BACKUP,
    CONFIG_MAP,
    DATA_UPLOAD,
    PVC,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
    VOLUME_SNAPSHOT_CONTENT,
)
from velero_py_plugin.errors import PermanentError
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import NotFoundError
from velero_py_plugin.plugin.kinds import ResourceIdentifier, ResourceSelector, RestoreItemActionResult

_STRIPPED_ANNOTATIONS: Final = (
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    VOLUME_SNAPSHOT_NAME,
    DATA_UPLOAD_NAME_ANNOTATION,
)


class RestoreAction(Protocol):
    """What a restore asks of an action, in-tree or in a plugin process."""

    def applies_to(self) -> ResourceSelector:
        """Says which objects it wants to see."""

    def execute(
        self, item: dict[str, Any], item_from_backup: dict[str, Any], restore: dict[str, Any], /
    ) -> RestoreItemActionResult:
        """Looks at one object."""


class StoredSnapshotError(PermanentError):
    """A stored snapshot object lacks what a restore needs of it."""

    reason: ClassVar[str] = "StoredSnapshotIncomplete"


def restored_snapshot_name(restore: Mapping[str, Any], snapshot_name: str) -> str:
    """The name that a restored VolumeSnapshot and its content get."""
    return hashlib.sha256(f"{restore['metadata']['uid']}/{snapshot_name}".encode()).hexdigest()


def mapped_namespace(restore: Mapping[str, Any], namespace: str) -> str:
    """Where the objects of a namespace are restored to."""
    return str((restore["spec"].get("namespaceMapping") or {}).get(namespace, namespace))


class CsiVolumeSnapshotContentRestoreAction:
    """``velero.io/csi-volumesnapshotcontent-restorer``: a static content for the handle that was stored.

    Args:
        kube: The cluster.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    def applies_to(self) -> ResourceSelector:
        """VolumeSnapshotContents."""
        return ResourceSelector(included_resources=(VOLUME_SNAPSHOT_CONTENT.group_resource,))

    def execute(
        self, item: dict[str, Any], item_from_backup: dict[str, Any], restore: dict[str, Any], /
    ) -> RestoreItemActionResult:
        """Points the content to its handle and to the VolumeSnapshot's new name."""
        if restore["spec"].get("restorePVs") is False:
            return RestoreItemActionResult(item=item, skip_restore=True)
        handle = (item_from_backup.get("status") or {}).get("snapshotHandle")
        if not handle:
            raise StoredSnapshotError(f"VolumeSnapshotContent {item['metadata']['name']} was stored without a handle.")
        content = copy.deepcopy(item)
        reference = content["spec"]["volumeSnapshotRef"]
        name = restored_snapshot_name(restore, reference["name"])
        namespace = mapped_namespace(restore, reference["namespace"])
        content["metadata"]["name"] = name
        content["spec"] = {
            **content["spec"],
            "deletionPolicy": "Retain",
            "source": {"snapshotHandle": handle},
            "volumeSnapshotRef": {"namespace": namespace, "name": name},
        }
        content["spec"].pop("volumeSnapshotClassName", None)
        driver = content["spec"]["driver"]
        for snapshot_class in self._kube.list(VOLUME_SNAPSHOT_CLASS):
            if snapshot_class["driver"] == driver:
                content["spec"]["volumeSnapshotClassName"] = snapshot_class["metadata"]["name"]
                break
        return RestoreItemActionResult(item=content)


class CsiVolumeSnapshotRestoreAction:
    """``velero.io/csi-volumesnapshot-restorer``: a VolumeSnapshot bound to that static content."""

    def applies_to(self) -> ResourceSelector:
        """VolumeSnapshots."""
        return ResourceSelector(included_resources=(VOLUME_SNAPSHOT.group_resource,))

    def execute(
        self, item: dict[str, Any], item_from_backup: dict[str, Any], restore: dict[str, Any], /
    ) -> RestoreItemActionResult:
        """Renames the VolumeSnapshot and makes the content its source."""
        if restore["spec"].get("restorePVs") is False:
            return RestoreItemActionResult(item=item, skip_restore=True)
        content_name = (item_from_backup.get("status") or {}).get("boundVolumeSnapshotContentName")
        if not content_name:
            raise StoredSnapshotError(f"VolumeSnapshot {item['metadata']['name']} was stored without its content.")
        snapshot = copy.deepcopy(item)
        name = restored_snapshot_name(restore, item["metadata"]["name"])
        snapshot["metadata"]["name"] = name
        snapshot["spec"] = {"source": {"volumeSnapshotContentName": name}}
        content = ResourceIdentifier(VOLUME_SNAPSHOT_CONTENT.group, VOLUME_SNAPSHOT_CONTENT.plural, "", content_name)
        return RestoreItemActionResult(item=snapshot, additional_items=(content,))


class DataUploadRestoreAction:
    """``velero.io/dataupload``: turns a stored DataUpload into a ConfigMap for the claim's action.

    Args:
        kube: The cluster.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    def applies_to(self) -> ResourceSelector:
        """DataUploads."""
        return ResourceSelector(included_resources=(DATA_UPLOAD.group_resource,))

    def execute(
        self, item: dict[str, Any], item_from_backup: dict[str, Any], restore: dict[str, Any], /
    ) -> RestoreItemActionResult:
        """Writes the upload's result, whatever its phase; never restores the DataUpload itself."""
        namespace, uid = restore["metadata"]["namespace"], restore["metadata"]["uid"]
        backup = self._kube.get(BACKUP, restore["spec"]["backupName"], namespace)
        spec, status = item_from_backup["spec"], item_from_backup.get("status") or {}
        result = {
            "backupStorageLocation": backup["spec"]["storageLocation"],
            "datamover": spec.get("datamover"),
            "snapshotID": status.get("snapshotID"),
            "sourceNamespace": spec["sourceNamespace"],
            "dataMoverResult": status.get("dataMoverResult"),
            "nodeOS": status.get("nodeOS"),
            "snapshotSize": (status.get("progress") or {}).get("totalBytes"),
        }
        body = {
            "metadata": {
                "generateName": f"{item['metadata']['name']}-",
                "labels": {
                    RESTORE_UID_LABEL: uid,
                    PVC_NAMESPACE_NAME_LABEL: valid_name(f"{spec['sourceNamespace']}.{spec['sourcePVC']}"),
                    RESOURCE_USAGE_LABEL: RESOURCE_USAGE_DATA_UPLOAD,
                },
            },
            "data": {uid: json.dumps({key: value for key, value in result.items() if value})},
        }
        self._kube.create(CONFIG_MAP, body, namespace)
        return RestoreItemActionResult(item=item, skip_restore=True)


class PVCRestoreAction:
    """``velero.io/pvc``: takes off a claim what binding and backup left on it."""

    def applies_to(self) -> ResourceSelector:
        """Claims."""
        return ResourceSelector(included_resources=(PVC.group_resource,))

    def execute(
        self,
        item: dict[str, Any],
        item_from_backup: dict[str, Any],  # noqa: ARG002 - protocol
        restore: dict[str, Any],  # noqa: ARG002 - protocol
        /,
    ) -> RestoreItemActionResult:
        """Strips annotations; the restored claim gets its volume elsewhere, so the stored volume is not named."""
        claim = copy.deepcopy(item)
        for annotation in _STRIPPED_ANNOTATIONS:
            (claim["metadata"].get("annotations") or {}).pop(annotation, None)
        return RestoreItemActionResult(item=claim)


class CsiPVCRestoreAction:
    """``velero.io/csi-pvc-restorer``: makes the restored VolumeSnapshot the claim's data source.

    Args:
        kube: The cluster.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    def applies_to(self) -> ResourceSelector:
        """Claims."""
        return ResourceSelector(included_resources=(PVC.group_resource,))

    def execute(
        self, item: dict[str, Any], item_from_backup: dict[str, Any], restore: dict[str, Any], /
    ) -> RestoreItemActionResult:
        """Leaves existing claims alone; else names the snapshot, or nothing when volumes are left out."""
        meta = item["metadata"]
        if _exists(self._kube, mapped_namespace(restore, meta["namespace"]), meta["name"]):
            return RestoreItemActionResult(item=item)
        claim = copy.deepcopy(item)
        for field in ("volumeName", "dataSource", "dataSourceRef"):
            claim["spec"].pop(field, None)
        snapshot_name = (item_from_backup["metadata"].get("annotations") or {}).get(VOLUME_SNAPSHOT_NAME)
        if restore["spec"].get("restorePVs") is False or not snapshot_name:
            return RestoreItemActionResult(item=claim)
        claim["spec"]["dataSource"] = {
            "apiGroup": VOLUME_SNAPSHOT.group,
            "kind": VOLUME_SNAPSHOT.kind,
            "name": restored_snapshot_name(restore, snapshot_name),
        }
        snapshot = ResourceIdentifier(VOLUME_SNAPSHOT.group, VOLUME_SNAPSHOT.plural, meta["namespace"], snapshot_name)
        return RestoreItemActionResult(item=claim, additional_items=(snapshot,))


def restore_actions(kube: KubeClient) -> dict[str, RestoreAction]:
    """Velero's own actions in the order they run: version 1 before version 2, each by name."""
    return {
        "velero.io/dataupload": DataUploadRestoreAction(kube),
        "velero.io/pvc": PVCRestoreAction(),
        "velero.io/csi-pvc-restorer": CsiPVCRestoreAction(kube),
        "velero.io/csi-volumesnapshot-restorer": CsiVolumeSnapshotRestoreAction(),
        "velero.io/csi-volumesnapshotcontent-restorer": CsiVolumeSnapshotContentRestoreAction(kube),
    }


def _exists(kube: KubeClient, namespace: str, claim_name: str) -> bool:
    try:
        kube.get(PVC, claim_name, namespace)
    except NotFoundError:
        return False
    return True
