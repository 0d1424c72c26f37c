"""Backup of a PersistentVolumeClaim: ties the claim's DataUpload to the backup as an asynchronous operation.

Velero writes volume information for an operation whose item is a claim and whose post-operation item is a DataUpload,
and collects that DataUpload again, with its final status, when the backup is finalized (velero v1.18.1
``internal/volume/volumes_information.go``, ``pkg/controller/backup_finalizer_controller.go``).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from velero_py_plugin.actions.cluster import ClientFactory, cluster_client
from velero_py_plugin.actions.data_upload import is_finalizing, uploads_wanted
from velero_py_plugin.actions.operation import cancel_operation, find_by_operation_id, operation_progress
from velero_py_plugin.api.names import DATA_UPLOAD_NAME_ANNOTATION, VOLUME_SNAPSHOT_NAME, data_upload_operation_id
from velero_py_plugin.api.resource import DATA_UPLOAD, PVC
from velero_py_plugin.plugin.kinds import (
    BackupItemActionRequest,
    BackupItemActionResult,
    BackupItemActionV2,
    OperationProgress,
    ResourceIdentifier,
    ResourceSelector,
)

logger = logging.getLogger(__name__)


class PVCBackupAction(BackupItemActionV2):
    """Returns the upload of a claim's snapshot as the claim's operation.

    Args:
        client: Gives the cluster when it is first needed.
    """

    def __init__(self, client: ClientFactory = cluster_client) -> None:
        self._client = client

    def applies_to(self) -> ResourceSelector:
        """Every claim in the backup."""
        return ResourceSelector(included_resources=(PVC.group_resource,))

    def execute(self, request: BackupItemActionRequest) -> BackupItemActionResult:
        """Finds the claim's DataUpload, which the VolumeSnapshot's action made just before.

        A claim without annotation ``velero.io/volume-snapshot-name`` has no CSI snapshot in this backup and is left
        alone. A missing upload is logged as an error, which makes the backup partially failed; the claim stays in the
        backup with its local snapshot.

        Raises:
            velero_py_plugin.errors.Error: Whether there is an upload cannot be told. To go on without an operation is
                no choice: the upload may complete, restores would then leave the local snapshot out, and this claim
                would point to nothing.
        """
        claim, backup = request.item, request.backup
        meta = claim["metadata"]
        snapshot = (meta.get("annotations") or {}).get(VOLUME_SNAPSHOT_NAME)
        if not snapshot or not uploads_wanted(backup) or is_finalizing(backup):
            return BackupItemActionResult()
        velero_namespace = backup["metadata"]["namespace"]
        operation_id = data_upload_operation_id(backup["metadata"]["uid"], meta["uid"])
        upload = find_by_operation_id(self._client(), DATA_UPLOAD, velero_namespace, operation_id)
        if upload is None:
            logger.error(
                "Claim %s/%s has no DataUpload; only its local snapshot %s is kept",
                meta["namespace"],
                meta["name"],
                snapshot,
            )
            return BackupItemActionResult()
        name = upload["metadata"]["name"]
        annotated = copy.deepcopy(dict(claim))
        annotated["metadata"]["annotations"][DATA_UPLOAD_NAME_ANNOTATION] = f"{velero_namespace}/{name}"
        return BackupItemActionResult(
            item=annotated,
            operation_id=operation_id,
            post_operation_items=(
                ResourceIdentifier(
                    group=DATA_UPLOAD.group, resource=DATA_UPLOAD.plural, namespace=velero_namespace, name=name
                ),
            ),
        )

    def progress(self, operation_id: str, backup: Mapping[str, Any]) -> OperationProgress:
        """How far the upload is; see ``operation_progress``."""
        return operation_progress(self._client, DATA_UPLOAD, operation_id, backup)

    def cancel(self, operation_id: str, backup: Mapping[str, Any]) -> None:
        """Asks the mover to stop the upload."""
        cancel_operation(self._client, DATA_UPLOAD, operation_id, backup)
