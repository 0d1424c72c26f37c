"""Names, labels and annotations, spelled once.

Sources: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v1/labels_annotations.go``, ``pkg/label/label.go``,
``pkg/backup/actions/csi/pvc_action.go``, ``pkg/restore/actions/csi/pvc_action.go``.
"""

from __future__ import annotations

import hashlib
from typing import Final

MOVER_NAME: Final = "velero-py-plugin"
"""``spec.datamover`` of the objects this project fulfils."""

OWN_DOMAIN: Final = "velero-py-plugin.io"
FINALIZER: Final = f"{OWN_DOMAIN}/data-mover"
UPLOAD_PHASE_ANNOTATION: Final = f"{OWN_DOMAIN}/data-upload-phase"
"""Outcome of the upload, written on the backed-up VolumeSnapshot and VolumeSnapshotContent while finalizing."""
UPLOAD_SNAPSHOT_ANNOTATION: Final = f"{OWN_DOMAIN}/snapshot-id"

BACKUP_NAME_LABEL: Final = "velero.io/backup-name"
BACKUP_UID_LABEL: Final = "velero.io/backup-uid"
RESTORE_NAME_LABEL: Final = "velero.io/restore-name"
RESTORE_UID_LABEL: Final = "velero.io/restore-uid"
PVC_UID_LABEL: Final = "velero.io/pvc-uid"
ASYNC_OPERATION_ID_LABEL: Final = "velero.io/async-operation-id"
PVC_NAMESPACE_NAME_LABEL: Final = "velero.io/pvc-namespace-name"
RESOURCE_USAGE_LABEL: Final = "velero.io/resource-usage"
RESOURCE_USAGE_DATA_UPLOAD: Final = "DataUpload"
DYNAMIC_PV_RESTORE_LABEL: Final = "velero.io/dynamic-pv-restore"
VOLUME_NAMESPACE_LABEL: Final = "velero.io/volume-namespace"
STORAGE_LOCATION_LABEL: Final = "velero.io/storage-location"
REPOSITORY_TYPE_LABEL: Final = "velero.io/repository-type"
VOLUME_SNAPSHOT_NAME: Final = "velero.io/volume-snapshot-name"
"""Label and annotation on a claim whose CSI snapshot is part of the backup."""
DATA_UPLOAD_NAME_ANNOTATION: Final = "velero.io/data-upload-name"
MUST_INCLUDE_ADDITIONAL_ITEMS: Final = "backup.velero.io/must-include-additional-items"

_LABEL_LIMIT: Final = 63
_HASH_DIGITS: Final = 6


def valid_name(text: str) -> str:
    """Shortens a label value the way Velero's ``GetValidName`` does.

    Args:
        text: Any label value.

    Returns:
        ``text`` itself up to 63 characters, else its first 57 characters and the first six hexadecimal digits of its
        SHA-256 (velero v1.18.1 ``pkg/label/label.go``).
    """
    if len(text) <= _LABEL_LIMIT:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text[: _LABEL_LIMIT - _HASH_DIGITS] + digest[:_HASH_DIGITS]


def data_upload_operation_id(backup_uid: str, pvc_uid: str) -> str:
    """Names the upload of one claim in one backup; the same inputs always give the same name."""
    return valid_name(f"du-{backup_uid}.{pvc_uid}")


def data_download_operation_id(restore_uid: str, backed_up_pvc_uid: str) -> str:
    """Names the download of one backed-up claim in one restore."""
    return valid_name(f"dd-{restore_uid}.{backed_up_pvc_uid}")
