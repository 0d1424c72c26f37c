"""Restore of a PersistentVolumeClaim: replaces its snapshot by a DataDownload.

Runs after Velero's own claim action, which has made the claim point to the VolumeSnapshot that our snapshot action
keeps out of the cluster. What is done here is what Velero's data movement does: vmware-tanzu/velero v1.18.1
``pkg/restore/actions/csi/pvc_action.go``.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from velero_py_plugin.actions.cluster import ClientFactory, cluster_client
from velero_py_plugin.actions.data_download import (
    build_data_download,
    find_upload_result,
    restores_volumes,
    target_namespace,
)
from velero_py_plugin.actions.data_upload import uploads_wanted
from velero_py_plugin.actions.errors import NoUsableCopyError
from velero_py_plugin.actions.operation import cancel_operation, ensure_operation, operation_progress
from velero_py_plugin.api.names import (
    DATA_UPLOAD_NAME_ANNOTATION,
    DYNAMIC_PV_RESTORE_LABEL,
    MOVER_NAME,
    MUST_INCLUDE_ADDITIONAL_ITEMS,
    VOLUME_SNAPSHOT_NAME,
    data_download_operation_id,
    valid_name,
)
from velero_py_plugin.api.resource import BACKUP, DATA_DOWNLOAD, PVC, VOLUME_SNAPSHOT
from velero_py_plugin.kube.errors import NotFoundError
from velero_py_plugin.plugin.kinds import (
    OperationProgress,
    ResourceSelector,
    RestoreItemActionRequest,
    RestoreItemActionResult,
    RestoreItemActionV2,
)

if TYPE_CHECKING:
    from velero_py_plugin.kube.client import KubeClient

logger = logging.getLogger(__name__)

_SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' alphabet for generated names: nothing that spells a word or looks like something else."""


class PVCRestoreAction(RestoreItemActionV2):
    """Has the mover fill the claims whose snapshots were uploaded.

    Args:
        client: Gives the cluster when it is first needed.
    """

    def __init__(self, client: ClientFactory = cluster_client) -> None:
        self._client = client

    def applies_to(self) -> ResourceSelector:
        """Every claim in the restore."""
        return ResourceSelector(included_resources=(PVC.group_resource,))

    def execute(self, request: RestoreItemActionRequest) -> RestoreItemActionResult:
        """Makes sure the claim's DataDownload exists and that the claim can bind only to what it delivers.

        The claim is left as it is when the restore leaves volumes out, when the claim has no upload of ours, when it
        exists already, and when its upload failed but Velero restores it from the local snapshot.

        Raises:
            NoUsableCopyError: The upload did not complete and there is no local snapshot either. A claim created
                nevertheless would never bind, and Velero would wait for it until its resource timeout.
            UploadResultInvalidError: What Velero kept about the upload is ambiguous or unreadable.
        """
        claim, stored, restore = request.item, request.item_from_backup, request.restore
        if not restores_volumes(restore) or not _annotation(stored, DATA_UPLOAD_NAME_ANNOTATION):
            return RestoreItemActionResult()
        kube, velero_namespace = self._client(), restore["metadata"]["namespace"]
        backup = kube.get(BACKUP, restore["spec"]["backupName"], velero_namespace)
        if not uploads_wanted(backup):
            return RestoreItemActionResult()
        name, source_namespace = stored["metadata"]["name"], stored["metadata"]["namespace"]
        namespace = target_namespace(restore, source_namespace)
        if _exists(kube, namespace, name):
            logger.warning("Claim %s/%s exists; its data is not restored", namespace, name)
            return RestoreItemActionResult()
        result = find_upload_result(kube, restore, source_namespace, name)
        if result is not None and result.datamover != MOVER_NAME:
            logger.info("Claim %s/%s was uploaded by %r", source_namespace, name, result.datamover)
            return RestoreItemActionResult()
        if result is None or not result.snapshot_id:
            _check_local_snapshot(kube, claim, namespace)
            logger.warning("Claim %s/%s has no completed upload; its local snapshot is restored", namespace, name)
            return RestoreItemActionResult()
        operation_id = data_download_operation_id(restore["metadata"]["uid"], stored["metadata"]["uid"])
        download = build_data_download(
            restore, backup, result, namespace=namespace, claim_name=name, operation_id=operation_id
        )
        ensure_operation(kube, DATA_DOWNLOAD, operation_id, download)
        return RestoreItemActionResult(item=claim_for_download(claim, namespace), operation_id=operation_id)

    def progress(self, operation_id: str, restore: Mapping[str, Any]) -> OperationProgress:
        """How far the download is; see ``operation_progress``."""
        return operation_progress(self._client, DATA_DOWNLOAD, operation_id, restore)

    def cancel(self, operation_id: str, restore: Mapping[str, Any]) -> None:
        """Asks the mover to stop the download."""
        cancel_operation(self._client, DATA_DOWNLOAD, operation_id, restore)


def claim_for_download(claim: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Makes a claim bind to nothing but the volume its DataDownload delivers.

    A claim with a selector is never provisioned dynamically and binds only to a volume that carries the label; its
    value is fresh for every restore, so a volume left over from an earlier one cannot match. The traces the backup left
    on the claim go, else the next backup would take them for its own.

    Args:
        claim: The claim as Velero would create it.
        namespace: The namespace it is created in.

    Returns:
        A changed copy.
    """
    changed = copy.deepcopy(dict(claim))
    spec, meta = changed["spec"], changed["metadata"]
    for field in ("dataSource", "dataSourceRef", "volumeName"):
        spec.pop(field, None)
    suffix = "".join(random.choices(_SUFFIX_ALPHABET, k=5))
    selector = spec.get("selector") or {}
    value = valid_name(f"{namespace}.{meta['name']}.{suffix}")
    labels = {**(selector.get("matchLabels") or {}), DYNAMIC_PV_RESTORE_LABEL: value}
    spec["selector"] = {**selector, "matchLabels": labels}
    (meta.get("annotations") or {}).pop(MUST_INCLUDE_ADDITIONAL_ITEMS, None)
    (meta.get("labels") or {}).pop(VOLUME_SNAPSHOT_NAME, None)
    return changed


def _annotation(item: Mapping[str, Any], key: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(key, ""))


def _exists(kube: KubeClient, namespace: str, claim_name: str) -> bool:
    try:
        kube.get(PVC, claim_name, namespace)
    except NotFoundError:
        return False
    return True


def _check_local_snapshot(kube: KubeClient, claim: Mapping[str, Any], namespace: str) -> None:
    """Velero restores VolumeSnapshots before claims: the claim's data source exists by now, or never will."""
    source = claim["spec"].get("dataSource") or {}
    problem = "the backup has no local snapshot"
    if source.get("kind") == VOLUME_SNAPSHOT.kind:
        try:
            snapshot = kube.get(VOLUME_SNAPSHOT, source["name"], namespace)
        except NotFoundError:
            problem = f"its local snapshot {source['name']} is not restored"
        else:
            error = (snapshot.get("status") or {}).get("error")
            if not error:
                return
            problem = f"its local snapshot is unusable: {error.get('message', 'unknown error')}"
    raise NoUsableCopyError(
        f"Claim {namespace}/{claim['metadata']['name']} cannot be restored: its upload did not complete, and {problem}."
    )
