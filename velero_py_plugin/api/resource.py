"""The Kubernetes resource types this project reads or writes, and references between objects."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True)
class ResourceType:
    """One kind of object as the API server serves it.

    Attributes:
        group: API group, empty for the core group.
        version: API version.
        plural: Lower-case plural name used in URLs.
        kind: CamelCase name used in objects.
        namespaced: Whether objects live in a namespace.
        status_subresource: Whether ``status`` is written through ``/status``. Velero's own types have none (velero
            v1.18.1 ``config/crd``: ``subresources: {}``).
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status_subresource: bool = False

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """``plural.group`` as Velero's selectors spell it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACE: Final = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False, status_subresource=True)
CONFIG_MAP: Final = ResourceType("", "v1", "configmaps", "ConfigMap")
SECRET: Final = ResourceType("", "v1", "secrets", "Secret")
POD: Final = ResourceType("", "v1", "pods", "Pod", status_subresource=True)
PVC: Final = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", status_subresource=True)
PV: Final = ResourceType("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False, status_subresource=True)
EVENT: Final = ResourceType("", "v1", "events", "Event")
STORAGE_CLASS: Final = ResourceType("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
LEASE: Final = ResourceType("coordination.k8s.io", "v1", "leases", "Lease")

_SNAPSHOT = "snapshot.storage.k8s.io"
VOLUME_SNAPSHOT: Final = ResourceType(_SNAPSHOT, "v1", "volumesnapshots", "VolumeSnapshot", status_subresource=True)
VOLUME_SNAPSHOT_CONTENT: Final = ResourceType(
    _SNAPSHOT, "v1", "volumesnapshotcontents", "VolumeSnapshotContent", namespaced=False, status_subresource=True
)
VOLUME_SNAPSHOT_CLASS: Final = ResourceType(
    _SNAPSHOT, "v1", "volumesnapshotclasses", "VolumeSnapshotClass", namespaced=False
)

BACKUP: Final = ResourceType("velero.io", "v1", "backups", "Backup")
RESTORE: Final = ResourceType("velero.io", "v1", "restores", "Restore")
BACKUP_STORAGE_LOCATION: Final = ResourceType("velero.io", "v1", "backupstoragelocations", "BackupStorageLocation")
BACKUP_REPOSITORY: Final = ResourceType("velero.io", "v1", "backuprepositories", "BackupRepository")
DATA_UPLOAD: Final = ResourceType("velero.io", "v2alpha1", "datauploads", "DataUpload")
DATA_DOWNLOAD: Final = ResourceType("velero.io", "v2alpha1", "datadownloads", "DataDownload")

ALL: Final = (
    NAMESPACE,
    CONFIG_MAP,
    SECRET,
    POD,
    PVC,
    PV,
    EVENT,
    STORAGE_CLASS,
    LEASE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
    VOLUME_SNAPSHOT_CLASS,
    BACKUP,
    RESTORE,
    BACKUP_STORAGE_LOCATION,
    BACKUP_REPOSITORY,
    DATA_UPLOAD,
    DATA_DOWNLOAD,
)
