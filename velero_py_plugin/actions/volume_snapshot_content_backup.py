"""Backup of a VolumeSnapshotContent: keeps the upload's outcome on the stored object."""

from __future__ import annotations

from velero_py_plugin.actions.cluster import ClientFactory, cluster_client
from velero_py_plugin.actions.data_upload import is_finalizing, uploads_wanted
from velero_py_plugin.actions.upload_outcome import UploadOutcomes
from velero_py_plugin.api.resource import VOLUME_SNAPSHOT_CONTENT
from velero_py_plugin.plugin.kinds import (
    BackupItemActionRequest,
    BackupItemActionResult,
    BackupItemActionV2,
    ResourceSelector,
)


class VolumeSnapshotContentBackupAction(BackupItemActionV2):
    """Tells later restores whether the snapshot behind a VolumeSnapshotContent was uploaded.

    Args:
        client: Gives the cluster when it is first needed.
    """

    def __init__(self, client: ClientFactory = cluster_client) -> None:
        self._outcomes = UploadOutcomes(client)

    def applies_to(self) -> ResourceSelector:
        """Every VolumeSnapshotContent in the backup."""
        return ResourceSelector(included_resources=(VOLUME_SNAPSHOT_CONTENT.group_resource,))

    def execute(self, request: BackupItemActionRequest) -> BackupItemActionResult:
        """Annotates the content with its upload's outcome while finalizing; before, there is none."""
        if not uploads_wanted(request.backup) or not is_finalizing(request.backup):
            return BackupItemActionResult()
        snapshot = request.item["spec"]["volumeSnapshotRef"]
        return BackupItemActionResult(
            item=self._outcomes.annotate(request.item, request.backup, snapshot["namespace"], snapshot["name"])
        )
