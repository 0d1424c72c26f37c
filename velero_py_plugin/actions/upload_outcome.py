"""How an upload ended, kept on the stored VolumeSnapshot and VolumeSnapshotContent.

A restore reaches these two kinds before the DataUpload, and an item that was skipped is never tried again, so they must
carry the outcome themselves. What an action changes on them while Velero finalizes the backup is stored; Velero has
removed both objects from the cluster by then (seen on Velero 1.18.3).
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Mapping
from typing import Any, TypeAlias

from velero_py_plugin.actions.cluster import ClientFactory
from velero_py_plugin.api.names import BACKUP_UID_LABEL, UPLOAD_PHASE_ANNOTATION, UPLOAD_SNAPSHOT_ANNOTATION
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.api.resource import DATA_UPLOAD
from velero_py_plugin.errors import Error

logger = logging.getLogger(__name__)

_SnapshotKey: TypeAlias = tuple[str, str]  # namespace and name of the VolumeSnapshot


def outcome_annotations(data_upload: Mapping[str, Any]) -> dict[str, str]:
    """Says how an upload ended.

    An upload that Velero gave up on (``spec.cancel``) may still have completed, but after Velero stored its copy
    without a snapshot id; it then gets no id here either, and the local snapshot stays the one that is restored.

    Returns:
        The phase, and the repository's snapshot id of a completed upload.
    """
    status = data_upload.get("status") or {}
    phase = status.get("phase") or Phase.NEW
    annotations = {UPLOAD_PHASE_ANNOTATION: str(phase)}
    if phase == Phase.COMPLETED and status.get("snapshotID") and not data_upload["spec"].get("cancel"):
        annotations[UPLOAD_SNAPSHOT_ANNOTATION] = status["snapshotID"]
    return annotations


def is_uploaded(stored: Mapping[str, Any]) -> bool:
    """Whether the data behind a stored VolumeSnapshot or VolumeSnapshotContent is to come from the repository."""
    annotations = stored["metadata"].get("annotations") or {}
    return annotations.get(UPLOAD_PHASE_ANNOTATION) == Phase.COMPLETED and bool(
        annotations.get(UPLOAD_SNAPSHOT_ANNOTATION)
    )


class UploadOutcomes:
    """The uploads of the backup that is being finalized, listed once.

    Velero finalizes one backup per plugin process, after all its uploads have ended.

    Args:
        client: Gives the cluster.
    """

    def __init__(self, client: ClientFactory) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._by_backup: dict[str, dict[_SnapshotKey, dict[str, Any]]] = {}

    def annotate(
        self, item: Mapping[str, Any], backup: Mapping[str, Any], namespace: str, snapshot: str
    ) -> dict[str, Any] | None:
        """Adds the outcome of a snapshot's upload to an object.

        Args:
            item: A VolumeSnapshot or VolumeSnapshotContent.
            backup: The Backup being finalized.
            namespace: Namespace of the VolumeSnapshot.
            snapshot: Name of the VolumeSnapshot.

        Returns:
            A changed copy, or None when the snapshot has no upload or the cluster cannot tell. Without annotations a
            restore takes the local snapshot's objects along, which is harmless.
        """
        try:
            upload = self._uploads(backup).get((namespace, snapshot))
        except Error as error:
            logger.warning("The outcome of the upload of snapshot %s/%s is not stored: %s", namespace, snapshot, error)
            return None
        if upload is None:
            return None
        changed = copy.deepcopy(dict(item))
        annotations = changed["metadata"].get("annotations") or {}
        changed["metadata"]["annotations"] = {**annotations, **outcome_annotations(upload)}
        return changed

    def _uploads(self, backup: Mapping[str, Any]) -> dict[_SnapshotKey, dict[str, Any]]:
        uid = backup["metadata"]["uid"]
        with self._lock:
            if uid not in self._by_backup:
                listed = self._client().list(
                    DATA_UPLOAD, backup["metadata"]["namespace"], label_selector=f"{BACKUP_UID_LABEL}={uid}"
                )
                self._by_backup[uid] = {
                    (item["spec"]["sourceNamespace"], item["spec"]["csiSnapshot"]["volumeSnapshot"]): item
                    for item in listed
                    if item["spec"].get("csiSnapshot")
                }
            return self._by_backup[uid]
