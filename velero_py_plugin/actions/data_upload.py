"""The DataUpload of one claim's snapshot: how it is built, and what its outcome means for the snapshot's own objects.

Shape as Velero's own action makes it: vmware-tanzu/velero v1.18.1 ``pkg/backup/actions/csi/pvc_action.go``
(``newDataUpload``), ``pkg/apis/velero/v2alpha1/data_upload_types.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.actions.errors import SourceIncompleteError
from velero_py_plugin.api.names import (
    ASYNC_OPERATION_ID_LABEL,
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    MOVER_NAME,
    PVC_UID_LABEL,
    data_upload_operation_id,
    valid_name,
)
from velero_py_plugin.api.resource import BACKUP, DATA_UPLOAD

DEFAULT_OPERATION_TIMEOUT: Final = "10m0s"
"""Velero's default of ``Backup.spec.csiSnapshotTimeout`` (``pkg/cmd/server/config/config.go``)."""

_CSI_DRIVER_ANNOTATION: Final = "velero.io/csi-driver-name"


def uploads_wanted(backup: Mapping[str, Any]) -> bool:
    """Whether the CSI snapshots of a backup are ours to upload.

    They are not when Velero's own actions make the DataUploads (``snapshotMoveData: true``), nor when the backup names
    another data mover.
    """
    spec = backup.get("spec") or {}
    return not spec.get("snapshotMoveData") and spec.get("datamover", "") in ("", MOVER_NAME)


def is_finalizing(backup: Mapping[str, Any]) -> bool:
    """Whether Velero is only refreshing stored objects; work started now would be refused."""
    return (backup.get("status") or {}).get("phase") in ("Finalizing", "FinalizingPartiallyFailed")


def build_data_upload(
    backup: Mapping[str, Any], volume_snapshot: Mapping[str, Any], claim: Mapping[str, Any]
) -> dict[str, Any]:
    """Builds the request to move one snapshot into the repository.

    Args:
        backup: The Backup; it becomes the owner, so the request goes when the Backup goes.
        volume_snapshot: The VolumeSnapshot Velero made, annotated with its driver's name.
        claim: The PersistentVolumeClaim it was made of.

    Raises:
        SourceIncompleteError: The claim names no storage class, which a DataUpload must.
    """
    backup_name, backup_uid = backup["metadata"]["name"], backup["metadata"]["uid"]
    claim_meta, snapshot_meta = claim["metadata"], volume_snapshot["metadata"]
    storage_class = claim["spec"].get("storageClassName")
    if not storage_class:
        raise SourceIncompleteError(
            f"Claim {claim_meta['namespace']}/{claim_meta['name']} names no storage class to expose its snapshot with."
        )
    csi_snapshot = {"volumeSnapshot": snapshot_meta["name"], "storageClass": storage_class}
    if snapshot_class := volume_snapshot["spec"].get("volumeSnapshotClassName"):
        csi_snapshot["snapshotClass"] = snapshot_class
    if driver := (snapshot_meta.get("annotations") or {}).get(_CSI_DRIVER_ANNOTATION):
        csi_snapshot["driver"] = driver
    backup_spec = backup.get("spec") or {}
    spec: dict[str, Any] = {
        "snapshotType": "CSI",
        "csiSnapshot": csi_snapshot,
        "sourcePVC": claim_meta["name"],
        "sourceNamespace": claim_meta["namespace"],
        "datamover": MOVER_NAME,
        "backupStorageLocation": backup_spec["storageLocation"],
        "operationTimeout": backup_spec.get("csiSnapshotTimeout") or DEFAULT_OPERATION_TIMEOUT,
    }
    if parallel := (backup_spec.get("uploaderConfig") or {}).get("parallelFilesUpload"):
        spec["dataMoverConfig"] = {"ParallelFilesUpload": str(parallel)}
    return {
        "apiVersion": DATA_UPLOAD.api_version,
        "kind": DATA_UPLOAD.kind,
        "metadata": {
            "generateName": f"{backup_name}-",
            "namespace": backup["metadata"]["namespace"],
            "labels": {
                BACKUP_NAME_LABEL: valid_name(backup_name),
                BACKUP_UID_LABEL: backup_uid,
                PVC_UID_LABEL: claim_meta["uid"],
                ASYNC_OPERATION_ID_LABEL: data_upload_operation_id(backup_uid, claim_meta["uid"]),
            },
            "ownerReferences": [
                {
                    "apiVersion": BACKUP.api_version,
                    "kind": BACKUP.kind,
                    "name": backup_name,
                    "uid": backup_uid,
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }
