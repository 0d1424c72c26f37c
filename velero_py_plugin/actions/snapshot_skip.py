"""Whether a stored VolumeSnapshot or VolumeSnapshotContent stays out of the restore."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.actions.cluster import ClientFactory
from velero_py_plugin.actions.data_download import restores_volumes
from velero_py_plugin.actions.upload_outcome import is_uploaded
from velero_py_plugin.api.resource import BACKUP, ResourceType
from velero_py_plugin.errors import Error
from velero_py_plugin.plugin.kinds import RestoreItemActionRequest

logger = logging.getLogger(__name__)

_DEFINITION: Final = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


class SnapshotSkip:
    """Decides for both kinds of snapshot objects.

    Args:
        client: Gives the cluster when it is first needed.
    """

    def __init__(self, client: ClientFactory) -> None:
        self._client = client
        self._needed: bool | None = None

    def applies(self, request: RestoreItemActionRequest) -> bool:
        """Whether the object is to be skipped: its data comes from the repository, and Velero can do without it."""
        return (
            restores_volumes(request.restore) and is_uploaded(request.item_from_backup) and not self._needed_by_velero()
        )

    def _needed_by_velero(self) -> bool:
        """Whether this Velero restores a claim only if the claim's VolumeSnapshot is in the cluster.

        The snapshot's objects are then restored, harmless with policy Retain, and stay beside the claim. When the
        cluster does not tell, Velero counts as new enough.
        """
        if self._needed is None:
            try:
                self._needed = looks_snapshot_up(self._client().get(_DEFINITION, BACKUP.group_resource))
            except Error as error:
                logger.warning("Cannot see which Velero this is, and take it for 1.17 or newer: %s", error)
                self._needed = False
        return self._needed


def looks_snapshot_up(backup_definition: Mapping[str, Any]) -> bool:
    """Tells Velero up to 1.16 by the definition of its Backup type.

    Velero's own claim action of these versions reads the VolumeSnapshot and refuses the claim without it
    (velero v1.16.2 ``pkg/restore/actions/csi/pvc_action.go`` ``restoreFromVolumeSnapshot``, gone in v1.17.0). A plugin
    is not told the version; the field ``volumeGroupSnapshotLabelKey`` came with v1.17.0 (``config/crd/v1/bases``).

    Args:
        backup_definition: The CustomResourceDefinition ``backups.velero.io``.
    """
    for version in backup_definition["spec"]["versions"]:
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        fields = ((schema.get("properties") or {}).get("spec") or {}).get("properties") or {}
        if fields:
            return "volumeGroupSnapshotLabelKey" not in fields
    return False
