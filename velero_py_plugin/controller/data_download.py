"""DataDownloads: restores volumes from the repository and hands them to their claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from velero_py_plugin.api.backup_storage_location import BackupStorageLocation
from velero_py_plugin.api.data_download import DataDownload
from velero_py_plugin.api.mover import MoverResult
from velero_py_plugin.api.resource import DATA_DOWNLOAD, ResourceType
from velero_py_plugin.controller.errors import InvalidRequestError
from velero_py_plugin.controller.exposer.exposer import Exposure
from velero_py_plugin.controller.movement import MovementReconciler


class DataDownloadReconciler(MovementReconciler[DataDownload]):
    """Brings DataDownloads to a terminal phase."""

    resource: ClassVar[ResourceType] = DATA_DOWNLOAD
    hands_over: ClassVar[bool] = True

    def _parse(self, resource: Mapping[str, Any]) -> DataDownload:
        return DataDownload.from_object(resource)

    def _check(self, request: DataDownload, location: BackupStorageLocation) -> None:
        del location  # any location may be read
        if not request.snapshot_id:
            raise InvalidRequestError("spec.snapshotID is empty: the upload of this volume never completed.")
        if not request.target_namespace or not request.target_pvc:
            raise InvalidRequestError("spec.targetVolume must name the claim to fill.")
        if not request.source_namespace:
            raise InvalidRequestError("spec.sourceNamespace must name the namespace that was backed up.")

    def _prepared_fields(self, exposure: Exposure) -> dict[str, Any]:
        del exposure  # a DataDownload's status has no place for more
        return {}

    def _completed_fields(self, result: MoverResult) -> dict[str, Any]:
        del result
        return {}

    def _hand_over(self, request: DataDownload) -> None:
        self._exposer.bind(request)
