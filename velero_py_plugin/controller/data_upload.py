"""DataUploads: moves the data of CSI snapshots into the repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from velero_py_plugin.api.backup_storage_location import READ_ONLY, BackupStorageLocation
from velero_py_plugin.api.data_upload import SNAPSHOT_TYPE_CSI, DataUpload
from velero_py_plugin.api.mover import MoverResult
from velero_py_plugin.api.resource import DATA_UPLOAD, ResourceType
from velero_py_plugin.controller.errors import InvalidRequestError, StorageLocationReadOnlyError
from velero_py_plugin.controller.exposer.exposer import Exposure, MoverEnded, MoverLost, MoverState
from velero_py_plugin.controller.movement import MovementReconciler


class DataUploadReconciler(MovementReconciler[DataUpload]):
    """Brings DataUploads to a terminal phase."""

    resource: ClassVar[ResourceType] = DATA_UPLOAD
    hands_over: ClassVar[bool] = False

    def _parse(self, resource: Mapping[str, Any]) -> DataUpload:
        return DataUpload.from_object(resource)

    def _check(self, request: DataUpload, location: BackupStorageLocation) -> None:
        if request.snapshot_type != SNAPSHOT_TYPE_CSI:
            raise InvalidRequestError(f'the snapshot type "{request.snapshot_type}" is not supported; only CSI is.')
        if request.csi_snapshot is None or not request.csi_snapshot.volume_snapshot:
            raise InvalidRequestError("spec.csiSnapshot names no VolumeSnapshot.")
        if not request.source_namespace or not request.source_pvc:
            raise InvalidRequestError("spec.sourceNamespace and spec.sourcePVC must name the claim.")
        if location.access_mode == READ_ONLY:
            raise StorageLocationReadOnlyError(
                f'the BackupStorageLocation "{location.meta.name}" is read-only, so nothing can be uploaded to it.'
            )

    def _prepared_fields(self, exposure: Exposure) -> dict[str, Any]:
        return {"nodeOS": exposure.node_os, "path": exposure.path}

    def _completed_fields(self, result: MoverResult) -> dict[str, Any]:
        return {"snapshotID": result.snapshot_id, "incrementalBytes": result.incremental_bytes}

    def _judged(self, mover: MoverState | None) -> MoverState | None:
        # A completed upload without a snapshot id would be found out only when somebody needs the data back.
        if isinstance(mover, MoverEnded) and mover.result.outcome == "completed" and not mover.result.snapshot_id:
            return MoverLost("the mover reported success without a snapshot id.")
        return mover
