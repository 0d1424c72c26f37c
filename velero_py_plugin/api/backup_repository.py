"""BackupRepository: one Kopia repository per backed-up namespace and BackupStorageLocation.

Sources: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v1/backup_repository_types.go``,
``pkg/repository/backup_repo_op.go`` (name and labels).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Self

from velero_py_plugin.api.names import REPOSITORY_TYPE_LABEL, STORAGE_LOCATION_LABEL, VOLUME_NAMESPACE_LABEL, valid_name
from velero_py_plugin.api.object_meta import ObjectMeta
from velero_py_plugin.api.resource import BACKUP_REPOSITORY

KOPIA: Final = "kopia"
"""``spec.repositoryType`` of every repository that data movement uses."""
NEW: Final = "New"
READY: Final = "Ready"
NOT_READY: Final = "NotReady"


@dataclasses.dataclass(frozen=True)
class BackupRepository:
    """One BackupRepository as its controller reads it.

    Attributes:
        meta: Metadata.
        volume_namespace: Namespace whose volumes it holds.
        backup_storage_location: Name of the BackupStorageLocation.
        repository_type: ``kopia``, ``restic``, or empty for restic.
        maintenance_frequency: Go duration as written; ``0s`` until somebody initialises the repository.
        phase: ``New``, ``Ready`` or ``NotReady``.
        message: Why it is not ready.
        last_maintenance_time: Timestamp as written.
    """

    meta: ObjectMeta
    volume_namespace: str = ""
    backup_storage_location: str = ""
    repository_type: str = ""
    maintenance_frequency: str = ""
    phase: str = NEW
    message: str = ""
    last_maintenance_time: str = ""

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Reads an object; whatever is absent keeps its default."""
        spec, status = resource.get("spec") or {}, resource.get("status") or {}
        return cls(
            meta=ObjectMeta.from_object(resource),
            volume_namespace=spec.get("volumeNamespace") or "",
            backup_storage_location=spec.get("backupStorageLocation") or "",
            repository_type=spec.get("repositoryType") or "",
            maintenance_frequency=spec.get("maintenanceFrequency") or "",
            phase=status.get("phase") or NEW,
            message=status.get("message") or "",
            last_maintenance_time=status.get("lastMaintenanceTime") or "",
        )


def repository_name(volume_namespace: str, backup_storage_location: str) -> str:
    """Name of the object; the same for everyone who creates it (Velero 1.16 and later)."""
    return f"{volume_namespace}-{backup_storage_location}-{KOPIA}"


def repository_labels(volume_namespace: str, backup_storage_location: str) -> dict[str, str]:
    """The labels by which the object is always looked up."""
    return {
        VOLUME_NAMESPACE_LABEL: valid_name(volume_namespace),
        STORAGE_LOCATION_LABEL: valid_name(backup_storage_location),
        REPOSITORY_TYPE_LABEL: KOPIA,
    }


def build_backup_repository(
    *, namespace: str, volume_namespace: str, backup_storage_location: str, maintenance_frequency: str
) -> dict[str, Any]:
    """Builds the object without a status.

    Args:
        namespace: Velero's namespace.
        volume_namespace: Namespace whose volumes the repository holds.
        backup_storage_location: Name of the BackupStorageLocation.
        maintenance_frequency: Go duration.
    """
    return {
        "apiVersion": BACKUP_REPOSITORY.api_version,
        "kind": BACKUP_REPOSITORY.kind,
        "metadata": {
            "name": repository_name(volume_namespace, backup_storage_location),
            "namespace": namespace,
            "labels": repository_labels(volume_namespace, backup_storage_location),
        },
        "spec": {
            "volumeNamespace": volume_namespace,
            "backupStorageLocation": backup_storage_location,
            "repositoryType": KOPIA,
            # Required by the schema of Velero up to 1.16, and unused for this repository type.
            "resticIdentifier": "",
            "maintenanceFrequency": maintenance_frequency,
        },
    }
