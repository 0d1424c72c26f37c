"""DataUpload: the request to move one CSI snapshot into the repository.

Source: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v2alpha1/data_upload_types.go``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Self

from velero_py_plugin.api.movement import MovementStatus
from velero_py_plugin.api.names import ASYNC_OPERATION_ID_LABEL
from velero_py_plugin.api.object_meta import ObjectMeta

SNAPSHOT_TYPE_CSI: Final = "CSI"
"""The only value of ``spec.snapshotType`` there is."""


@dataclasses.dataclass(frozen=True)
class CsiSnapshot:
    """Which snapshot.

    Attributes:
        volume_snapshot: Name of the VolumeSnapshot in the source namespace.
        storage_class: Storage class of the source claim.
        snapshot_class: VolumeSnapshotClass, empty if unknown.
        driver: CSI driver, empty if unknown.
    """

    volume_snapshot: str = ""
    storage_class: str = ""
    snapshot_class: str = ""
    driver: str = ""


@dataclasses.dataclass(frozen=True)
class DataUpload:
    """One DataUpload as its mover reads it.

    Attributes:
        meta: Metadata.
        status: Status.
        datamover: Who is to fulfil it; empty means Velero's own mover.
        snapshot_type: Kind of snapshot.
        csi_snapshot: The snapshot, when ``snapshot_type`` is ``CSI``.
        source_namespace: Namespace of claim and snapshot; also names the repository.
        source_pvc: Name of the claim.
        backup_storage_location: Name of the BackupStorageLocation in the request's own namespace.
        config: ``dataMoverConfig``.
        cancel: Whether it is to stop.
        operation_timeout: Go duration as written.
    """

    meta: ObjectMeta
    status: MovementStatus
    datamover: str = ""
    snapshot_type: str = ""
    csi_snapshot: CsiSnapshot | None = None
    source_namespace: str = ""
    source_pvc: str = ""
    backup_storage_location: str = ""
    config: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cancel: bool = False
    operation_timeout: str = ""

    @property
    def operation_id(self) -> str:
        """Velero's name of the operation; also a tag of the repository snapshot."""
        return self.meta.labels.get(ASYNC_OPERATION_ID_LABEL, "")

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Reads an object; whatever is absent keeps its default."""
        spec = resource.get("spec") or {}
        csi = spec.get("csiSnapshot")
        return cls(
            meta=ObjectMeta.from_object(resource),
            status=MovementStatus.from_object(resource),
            datamover=spec.get("datamover") or "",
            snapshot_type=spec.get("snapshotType") or "",
            csi_snapshot=CsiSnapshot(
                volume_snapshot=csi.get("volumeSnapshot") or "",
                storage_class=csi.get("storageClass") or "",
                snapshot_class=csi.get("snapshotClass") or "",
                driver=csi.get("driver") or "",
            )
            if csi
            else None,
            source_namespace=spec.get("sourceNamespace") or "",
            source_pvc=spec.get("sourcePVC") or "",
            backup_storage_location=spec.get("backupStorageLocation") or "",
            config=dict(spec.get("dataMoverConfig") or {}),
            cancel=bool(spec.get("cancel")),
            operation_timeout=spec.get("operationTimeout") or "",
        )
