"""Objects as Velero hands them to actions."""

from __future__ import annotations

import copy
from typing import Any

from velero_py_plugin.api.names import data_download_operation_id, data_upload_operation_id

BACKUP_UID = "0f3c8a52-2b1e-4c55-9a27-4d0a4c3b7f10"
CLAIM_UID = "91aa2f0e-6d07-4d7a-8a4e-3f1f5a1f9e55"
RESTORE_UID = "5b8d7c66-0d5f-4fd2-9b58-2a3a0e0f6c11"
UPLOAD_OPERATION_ID = "du-0f3c8a52-2b1e-4c55-9a27-4d0a4c3b7f10.91aa2f0e-6d07-4d7b58046"
DOWNLOAD_OPERATION_ID = "dd-5b8d7c66-0d5f-4fd2-9b58-2a3a0e0f6c11.91aa2f0e-6d07-4d7156947"

BACKUP: dict[str, Any] = {
    "apiVersion": "velero.io/v1",
    "kind": "Backup",
    "metadata": {"name": "nightly", "namespace": "velero", "uid": BACKUP_UID},
    "spec": {"storageLocation": "default", "csiSnapshotTimeout": "10m0s", "snapshotMoveData": False},
    "status": {"phase": "InProgress"},
}

RESTORE: dict[str, Any] = {
    "apiVersion": "velero.io/v1",
    "kind": "Restore",
    "metadata": {"name": "rescue", "namespace": "velero", "uid": RESTORE_UID},
    "spec": {"backupName": "nightly"},
    "status": {"phase": "InProgress"},
}

CLAIM: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {
        "name": "data",
        "namespace": "app",
        "uid": CLAIM_UID,
        "labels": {
            "app": "shop",
            "velero.io/backup-name": "nightly",
            "velero.io/volume-snapshot-name": "velero-data-x7",
        },
        "annotations": {
            "velero.io/volume-snapshot-name": "velero-data-x7",
            "backup.velero.io/must-include-additional-items": "true",
        },
    },
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
        "volumeMode": "Filesystem",
        "volumeName": "pvc-91aa",
    },
    "status": {"phase": "Bound"},
}

SNAPSHOT: dict[str, Any] = {
    "apiVersion": "snapshot.storage.k8s.io/v1",
    "kind": "VolumeSnapshot",
    "metadata": {
        "name": "velero-data-x7",
        "namespace": "app",
        "uid": "2d1a2c7b-9e51-4a56-8d0e-6b8f1d6e2a33",
        "labels": {"app": "shop", "velero.io/backup-name": "nightly"},
        "annotations": {
            "velero.io/csi-driver-name": "csi.example.com",
            "velero.io/csi-volumesnapshot-handle": "handle-1",
        },
    },
    "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "fast-snap"},
    "status": {"boundVolumeSnapshotContentName": "snapcontent-2d1a", "readyToUse": True},
}

CONTENT: dict[str, Any] = {
    "apiVersion": "snapshot.storage.k8s.io/v1",
    "kind": "VolumeSnapshotContent",
    "metadata": {"name": "snapcontent-2d1a", "labels": {"velero.io/backup-name": "nightly"}},
    "spec": {
        "deletionPolicy": "Delete",
        "driver": "csi.example.com",
        "source": {"volumeHandle": "volume-1"},
        "volumeSnapshotRef": {"name": "velero-data-x7", "namespace": "app"},
    },
    "status": {"snapshotHandle": "handle-1", "readyToUse": True},
}

UPLOAD: dict[str, Any] = {
    "apiVersion": "velero.io/v2alpha1",
    "kind": "DataUpload",
    "metadata": {
        "generateName": "nightly-",
        "namespace": "velero",
        "labels": {
            "velero.io/backup-name": "nightly",
            "velero.io/backup-uid": BACKUP_UID,
            "velero.io/pvc-uid": CLAIM_UID,
            "velero.io/async-operation-id": UPLOAD_OPERATION_ID,
        },
        "ownerReferences": [
            {
                "apiVersion": "velero.io/v1",
                "kind": "Backup",
                "name": "nightly",
                "uid": BACKUP_UID,
                "controller": True,
            }
        ],
    },
    "spec": {
        "snapshotType": "CSI",
        "csiSnapshot": {
            "volumeSnapshot": "velero-data-x7",
            "storageClass": "fast",
            "snapshotClass": "fast-snap",
            "driver": "csi.example.com",
        },
        "sourcePVC": "data",
        "sourceNamespace": "app",
        "datamover": "velero-py-plugin",
        "backupStorageLocation": "default",
        "operationTimeout": "10m0s",
    },
}

DOWNLOAD: dict[str, Any] = {
    "apiVersion": "velero.io/v2alpha1",
    "kind": "DataDownload",
    "metadata": {
        "generateName": "rescue-",
        "namespace": "velero",
        "labels": {
            "velero.io/restore-name": "rescue",
            "velero.io/restore-uid": RESTORE_UID,
            "velero.io/async-operation-id": DOWNLOAD_OPERATION_ID,
        },
        "ownerReferences": [
            {
                "apiVersion": "velero.io/v1",
                "kind": "Restore",
                "name": "rescue",
                "uid": RESTORE_UID,
                "controller": True,
            }
        ],
    },
    "spec": {
        "targetVolume": {"namespace": "app", "pvc": "data", "pv": ""},
        "backupStorageLocation": "default",
        "datamover": "velero-py-plugin",
        "snapshotID": "3f0a",
        "sourceNamespace": "app",
        "operationTimeout": "10m0s",
    },
}

RESULT: dict[str, Any] = {
    "backupStorageLocation": "default",
    "datamover": "velero-py-plugin",
    "snapshotID": "3f0a",
    "sourceNamespace": "app",
}


def owned(move: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    """UPLOAD or DOWNLOAD as a Backup or Restore in a cluster owns it."""
    uid = owner["metadata"]["uid"]
    kind = owner["kind"].lower()
    operation_id = (data_upload_operation_id if kind == "backup" else data_download_operation_id)(uid, CLAIM_UID)
    move = changed(move, f"metadata / labels / velero.io/{kind}-uid", uid)
    move = changed(move, "metadata / labels / velero.io/async-operation-id", operation_id)
    move["metadata"]["ownerReferences"][0]["uid"] = uid
    return move


def changed(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of an object with one field set, or removed where the value is None; the path's parts end in slashes."""
    copied = copy.deepcopy(item)
    *parents, last = path.split(" / ")
    target = copied
    for parent in parents:
        target = target.setdefault(parent, {})
    if value is None:
        target.pop(last, None)
    else:
        target[last] = value
    return copied
