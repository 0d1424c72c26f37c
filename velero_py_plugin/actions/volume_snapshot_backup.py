"""Backup of a VolumeSnapshot: emits its DataUpload, and keeps the outcome on the stored object.

The operation does not hang on this item. Velero 1.18.3 counts completed operations on VolumeSnapshots as CSI snapshots;
with two of them per snapshot its finalizer panics and the stored backup silently lacks the DataUpload. The claim's
action, which runs after this one, returns the operation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from velero_py_plugin.actions.cluster import ClientFactory, cluster_client
from velero_py_plugin.actions.data_upload import build_data_upload, is_finalizing, uploads_wanted
from velero_py_plugin.actions.operation import ensure_operation
from velero_py_plugin.actions.upload_outcome import UploadOutcomes
from velero_py_plugin.api.names import BACKUP_NAME_LABEL, data_upload_operation_id, valid_name
from velero_py_plugin.api.resource import DATA_UPLOAD, PVC, VOLUME_SNAPSHOT
from velero_py_plugin.errors import Error
from velero_py_plugin.plugin.kinds import (
    BackupItemActionRequest,
    BackupItemActionResult,
    BackupItemActionV2,
    ResourceSelector,
)

logger = logging.getLogger(__name__)


class VolumeSnapshotBackupAction(BackupItemActionV2):
    """Asks for one upload per CSI snapshot that Velero made for a backup.

    Args:
        client: Gives the cluster when it is first needed.
    """

    def __init__(self, client: ClientFactory = cluster_client) -> None:
        self._client = client
        self._outcomes = UploadOutcomes(client)

    def applies_to(self) -> ResourceSelector:
        """Every VolumeSnapshot in the backup."""
        return ResourceSelector(included_resources=(VOLUME_SNAPSHOT.group_resource,))

    def execute(self, request: BackupItemActionRequest) -> BackupItemActionResult:
        """Makes sure the snapshot's DataUpload exists; while finalizing, annotates the snapshot with its outcome.

        A problem is logged as an error, which makes the backup partially failed, and the item stays in the backup: an
        error returned here would make Velero drop the claim and with it the local snapshot that still is good.
        """
        snapshot, backup = request.item, request.backup
        if not uploads_wanted(backup):
            return BackupItemActionResult()
        meta = snapshot["metadata"]
        if is_finalizing(backup):
            return BackupItemActionResult(
                item=self._outcomes.annotate(snapshot, backup, meta["namespace"], meta["name"])
            )
        claim_name = snapshot["spec"]["source"].get("persistentVolumeClaimName")
        ours = (meta.get("labels") or {}).get(BACKUP_NAME_LABEL) == valid_name(backup["metadata"]["name"])
        if not claim_name or not ours:
            logger.info("VolumeSnapshot %s/%s was not made for this backup", meta["namespace"], meta["name"])
            return BackupItemActionResult()
        try:
            self._ensure_upload(backup, snapshot, claim_name)
        except Error as error:
            logger.error("Snapshot %s/%s is not uploaded: %s", meta["namespace"], meta["name"], error)
        return BackupItemActionResult()

    def _ensure_upload(self, backup: Mapping[str, Any], snapshot: Mapping[str, Any], claim_name: str) -> None:
        kube = self._client()
        claim = kube.get(PVC, claim_name, snapshot["metadata"]["namespace"])
        operation_id = data_upload_operation_id(backup["metadata"]["uid"], claim["metadata"]["uid"])
        ensure_operation(kube, DATA_UPLOAD, operation_id, build_data_upload(backup, snapshot, claim))
