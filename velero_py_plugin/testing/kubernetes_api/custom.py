"""Schemas of the custom resources: Velero's and those of CSI snapshots.

Sources: vmware-tanzu/velero v1.18.3 ``config/crd/v1/bases`` and ``config/crd/v2alpha1/bases``;
kubernetes-csi/external-snapshotter client v8.4.0 ``config/crd``. Backup and Restore keep any field below ``spec`` and
``status``: their schemas are long, and this project only reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.api import resource
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.testing.kubernetes_api.schema import (
    ANY_OBJECT,
    BOOLEAN,
    INTEGER,
    STRING,
    STRING_MAP,
    TIME,
    Schema,
    enum,
)

_NODE_OS = enum("auto", "linux", "windows")
_KEPT = Schema("string", immutable=True)
_NOT_NULL_TIME = Schema("string", date_time=True)
_NOT_NULL_MAP = Schema("object", values=STRING)
_OPTIONAL_STRING = Schema("string", nullable=True)


def _object(properties: Mapping[str, Schema], *required: str, **rules: Any) -> Schema:
    return Schema("object", properties=properties, required=required, **rules)


def _root(properties: Mapping[str, Schema], *required: str) -> Schema:
    return _object({"apiVersion": STRING, "kind": STRING, "metadata": ANY_OBJECT, **properties}, *required)


_MOVE_STATUS: Final[Mapping[str, Schema]] = {
    "acceptedByNode": STRING,
    "acceptedTimestamp": TIME,
    "completionTimestamp": TIME,
    "message": STRING,
    "node": STRING,
    "phase": enum(*Phase),
    "progress": _object({"bytesDone": INTEGER, "totalBytes": INTEGER}),
    "startTimestamp": TIME,
}

_DATA_UPLOAD = _root(
    {
        "spec": _object(
            {
                "backupStorageLocation": STRING,
                "cancel": BOOLEAN,
                "csiSnapshot": _object(
                    {"driver": STRING, "snapshotClass": STRING, "storageClass": STRING, "volumeSnapshot": STRING},
                    "storageClass",
                    "volumeSnapshot",
                    nullable=True,
                ),
                "dataMoverConfig": STRING_MAP,
                "datamover": STRING,
                "operationTimeout": STRING,
                "snapshotType": STRING,
                "sourceNamespace": STRING,
                "sourcePVC": STRING,
            },
            "backupStorageLocation",
            "operationTimeout",
            "snapshotType",
            "sourceNamespace",
            "sourcePVC",
        ),
        "status": _object(
            {
                **_MOVE_STATUS,
                "dataMoverResult": STRING_MAP,
                "incrementalBytes": INTEGER,
                "nodeOS": _NODE_OS,
                "path": STRING,
                "snapshotID": STRING,
            }
        ),
    }
)

_DATA_DOWNLOAD = _root(
    {
        "spec": _object(
            {
                "backupStorageLocation": STRING,
                "cancel": BOOLEAN,
                "dataMoverConfig": _NOT_NULL_MAP,
                "datamover": STRING,
                "nodeOS": _NODE_OS,
                "operationTimeout": STRING,
                "snapshotID": STRING,
                "snapshotSize": INTEGER,
                "sourceNamespace": STRING,
                "targetVolume": _object({"namespace": STRING, "pv": STRING, "pvc": STRING}, "namespace", "pv", "pvc"),
            },
            "backupStorageLocation",
            "operationTimeout",
            "snapshotID",
            "sourceNamespace",
            "targetVolume",
        ),
        "status": _object(_MOVE_STATUS),
    }
)

_BACKUP_REPOSITORY = _root(
    {
        "spec": _object(
            {
                "backupStorageLocation": STRING,
                "maintenanceFrequency": STRING,
                "repositoryConfig": STRING_MAP,
                "repositoryType": enum("kopia", "restic", ""),
                "resticIdentifier": STRING,
                "volumeNamespace": STRING,
            },
            "backupStorageLocation",
            "maintenanceFrequency",
            "volumeNamespace",
        ),
        "status": _object(
            {
                "lastMaintenanceTime": TIME,
                "message": STRING,
                "phase": enum("New", "Ready", "NotReady"),
                "recentMaintenance": Schema(
                    "array",
                    items=_object(
                        {
                            "completeTimestamp": TIME,
                            "message": STRING,
                            "result": enum("Succeeded", "Failed"),
                            "startTimestamp": TIME,
                        }
                    ),
                ),
            }
        ),
    }
)

_SECRET_KEY = _object({"key": STRING, "name": STRING, "optional": BOOLEAN}, "key")

_BACKUP_STORAGE_LOCATION = _root(
    {
        "spec": _object(
            {
                "accessMode": enum("ReadOnly", "ReadWrite"),
                "backupSyncPeriod": _OPTIONAL_STRING,
                "config": _NOT_NULL_MAP,
                "credential": _SECRET_KEY,
                "default": BOOLEAN,
                "objectStorage": _object(
                    {"bucket": STRING, "caCert": STRING, "caCertRef": _SECRET_KEY, "prefix": STRING}, "bucket"
                ),
                "provider": STRING,
                "validationFrequency": _OPTIONAL_STRING,
            },
            "objectStorage",
            "provider",
        ),
        "status": _object(
            {
                "accessMode": enum("ReadOnly", "ReadWrite"),
                "lastSyncedRevision": STRING,
                "lastSyncedTime": TIME,
                "lastValidationTime": TIME,
                "message": STRING,
                "phase": enum("Available", "Unavailable"),
            }
        ),
    }
)

_SNAPSHOT_ERROR = _object({"message": STRING, "time": _NOT_NULL_TIME})

_VOLUME_SNAPSHOT = _root(
    {
        "spec": _object(
            {
                "source": _object(
                    {"persistentVolumeClaimName": _KEPT, "volumeSnapshotContentName": _KEPT},
                    exactly_one=("volumeSnapshotContentName", "persistentVolumeClaimName"),
                ),
                "volumeSnapshotClassName": STRING,
            },
            "source",
        ),
        "status": _object(
            {
                "boundVolumeSnapshotContentName": STRING,
                "creationTime": _NOT_NULL_TIME,
                "error": _SNAPSHOT_ERROR,
                "readyToUse": BOOLEAN,
                "restoreSize": Schema(),
                "volumeGroupSnapshotName": STRING,
            }
        ),
    },
    "spec",
)

_REFERENCE_FIELDS = ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")

_VOLUME_SNAPSHOT_CONTENT = _root(
    {
        "spec": _object(
            {
                "deletionPolicy": enum("Delete", "Retain"),
                "driver": STRING,
                "source": _object(
                    {"snapshotHandle": _KEPT, "volumeHandle": _KEPT}, exactly_one=("volumeHandle", "snapshotHandle")
                ),
                "sourceVolumeMode": _KEPT,
                "volumeSnapshotClassName": STRING,
                "volumeSnapshotRef": _object(dict.fromkeys(_REFERENCE_FIELDS, STRING), "name", "namespace"),
            },
            "deletionPolicy",
            "driver",
            "source",
            "volumeSnapshotRef",
        ),
        "status": _object(
            {
                "creationTime": INTEGER,
                "error": _SNAPSHOT_ERROR,
                "readyToUse": BOOLEAN,
                "restoreSize": INTEGER,
                "snapshotHandle": STRING,
                "volumeGroupSnapshotHandle": STRING,
            }
        ),
    },
    "spec",
)

_VOLUME_SNAPSHOT_CLASS = _root(
    {"deletionPolicy": enum("Delete", "Retain"), "driver": STRING, "parameters": _NOT_NULL_MAP},
    "deletionPolicy",
    "driver",
)

_OPEN = _root({"spec": ANY_OBJECT, "status": ANY_OBJECT})

SCHEMAS: Final[Mapping[resource.ResourceType, Schema]] = {
    resource.VOLUME_SNAPSHOT: _VOLUME_SNAPSHOT,
    resource.VOLUME_SNAPSHOT_CONTENT: _VOLUME_SNAPSHOT_CONTENT,
    resource.VOLUME_SNAPSHOT_CLASS: _VOLUME_SNAPSHOT_CLASS,
    resource.BACKUP: _OPEN,
    resource.RESTORE: _OPEN,
    resource.BACKUP_STORAGE_LOCATION: _BACKUP_STORAGE_LOCATION,
    resource.BACKUP_REPOSITORY: _BACKUP_REPOSITORY,
    resource.DATA_UPLOAD: _DATA_UPLOAD,
    resource.DATA_DOWNLOAD: _DATA_DOWNLOAD,
}
"""The custom resources; every other type is built into the API server."""
