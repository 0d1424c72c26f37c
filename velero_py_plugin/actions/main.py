"""The executable Velero starts: the product's own actions, served over the plugin protocol."""

from __future__ import annotations

import logging
from typing import Final

from velero_py_plugin.actions.pvc_backup import PVCBackupAction
from velero_py_plugin.actions.pvc_restore import PVCRestoreAction
from velero_py_plugin.actions.volume_snapshot_backup import VolumeSnapshotBackupAction
from velero_py_plugin.actions.volume_snapshot_content_backup import VolumeSnapshotContentBackupAction
from velero_py_plugin.actions.volume_snapshot_content_restore import VolumeSnapshotContentRestoreAction
from velero_py_plugin.actions.volume_snapshot_restore import VolumeSnapshotRestoreAction
from velero_py_plugin.api.names import OWN_DOMAIN
from velero_py_plugin.plugin.serve import serve

# Snapshots come before claims: the snapshot's action makes the upload that the claim's action looks for. No name may
# contain "velero.io/csi-" anywhere, or Velero skips it without the feature EnableCSI (velero v1.18.1
# pkg/util/csi/util.go). Operations are found again by these names: renaming one fails what is under way.
ACTIONS: Final[dict[str, type]] = {
    f"{OWN_DOMAIN}/volumesnapshotcontent-backupper": VolumeSnapshotContentBackupAction,
    f"{OWN_DOMAIN}/volumesnapshot-backupper": VolumeSnapshotBackupAction,
    f"{OWN_DOMAIN}/pvc-backupper": PVCBackupAction,
    f"{OWN_DOMAIN}/volumesnapshotcontent-restorer": VolumeSnapshotContentRestoreAction,
    f"{OWN_DOMAIN}/volumesnapshot-restorer": VolumeSnapshotRestoreAction,
    f"{OWN_DOMAIN}/pvc-restorer": PVCRestoreAction,
}


def main() -> None:
    """Serves the actions until Velero ends the process."""
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines would fill the log of a backup
    serve(ACTIONS)
