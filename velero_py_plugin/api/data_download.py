"""DataDownload: the request to restore one volume from the repository.

Source: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v2alpha1/data_download_types.go``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from velero_py_plugin.api.movement import MovementStatus
from velero_py_plugin.api.object_meta import ObjectMeta


@dataclasses.dataclass(frozen=True)
class DataDownload:
    """One DataDownload as its mover reads it.

    Attributes:
        meta: Metadata.
        status: Status.
        datamover: Who is to fulfil it; empty means Velero's own mover.
        snapshot_id: Manifest id of the repository snapshot; empty when the upload never completed.
        source_namespace: Namespace that was backed up; names the repository.
        target_namespace: Namespace of the claim to fill, already mapped.
        target_pvc: Name of the claim to fill.
        backup_storage_location: Name of the BackupStorageLocation in the request's own namespace.
        config: ``dataMoverConfig``.
        cancel: Whether it is to stop.
        operation_timeout: Go duration as written.
        snapshot_size: Bytes of file data in the snapshot, 0 if unknown.
    """

    meta: ObjectMeta
    status: MovementStatus
    datamover: str = ""
    snapshot_id: str = ""
    source_namespace: str = ""
    target_namespace: str = ""
    target_pvc: str = ""
    backup_storage_location: str = ""
    config: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cancel: bool = False
    operation_timeout: str = ""
    snapshot_size: int = 0

    @property
    def write_sparse_files(self) -> bool:
        """Whether runs of zeros become holes (``dataMoverConfig`` key ``WriteSparseFiles``)."""
        return self.config.get("WriteSparseFiles") == "true"

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Reads an object; whatever is absent keeps its default."""
        spec = resource.get("spec") or {}
        target = spec.get("targetVolume") or {}
        return cls(
            meta=ObjectMeta.from_object(resource),
            status=MovementStatus.from_object(resource),
            datamover=spec.get("datamover") or "",
            snapshot_id=spec.get("snapshotID") or "",
            source_namespace=spec.get("sourceNamespace") or "",
            target_namespace=target.get("namespace") or "",
            target_pvc=target.get("pvc") or "",
            backup_storage_location=spec.get("backupStorageLocation") or "",
            config=dict(spec.get("dataMoverConfig") or {}),
            cancel=bool(spec.get("cancel")),
            operation_timeout=spec.get("operationTimeout") or "",
            snapshot_size=spec.get("snapshotSize") or 0,
        )
