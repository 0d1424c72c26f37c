"""Restore of a VolumeSnapshotContent: skipped when the data comes from the repository."""

from __future__ import annotations

from velero_py_plugin.actions.cluster import ClientFactory, cluster_client
from velero_py_plugin.actions.snapshot_skip import SnapshotSkip
from velero_py_plugin.api.resource import VOLUME_SNAPSHOT_CONTENT
from velero_py_plugin.plugin.kinds import (
    ResourceSelector,
    RestoreItemActionRequest,
    RestoreItemActionResult,
    RestoreItemActionV2,
)


class VolumeSnapshotContentRestoreAction(RestoreItemActionV2):
    """Keeps a VolumeSnapshotContent out of the cluster when its upload completed.

    After a failed upload Velero's own action has prepared the object for a restore from the local snapshot, and it is
    left as it is.

    Args:
        client: Gives the cluster when it is first needed.
    """

    def __init__(self, client: ClientFactory = cluster_client) -> None:
        self._skip = SnapshotSkip(client)

    def applies_to(self) -> ResourceSelector:
        """Every VolumeSnapshotContent in the restore."""
        return ResourceSelector(included_resources=(VOLUME_SNAPSHOT_CONTENT.group_resource,))

    def execute(self, request: RestoreItemActionRequest) -> RestoreItemActionResult:
        """Decides by the outcome that the backup stored on the object."""
        return RestoreItemActionResult(skip_restore=self._skip.applies(request))
