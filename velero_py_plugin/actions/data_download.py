"""The DataDownload of one claim: what Velero kept about its upload, and the request built from it.

Shapes as Velero's own actions make them: vmware-tanzu/velero v1.18.1
``pkg/restore/actions/dataupload_retrieve_action.go`` (the result ConfigMap),
``pkg/restore/actions/csi/pvc_action.go`` (the DataDownload), ``pkg/apis/velero/v2alpha1/data_upload_types.go``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from velero_py_plugin.actions.data_upload import DEFAULT_OPERATION_TIMEOUT
from velero_py_plugin.actions.errors import UploadResultInvalidError
from velero_py_plugin.api.names import (
    ASYNC_OPERATION_ID_LABEL,
    PVC_NAMESPACE_NAME_LABEL,
    RESOURCE_USAGE_DATA_UPLOAD,
    RESOURCE_USAGE_LABEL,
    RESTORE_NAME_LABEL,
    RESTORE_UID_LABEL,
    valid_name,
)
from velero_py_plugin.api.resource import CONFIG_MAP, DATA_DOWNLOAD, RESTORE

if TYPE_CHECKING:
    from velero_py_plugin.kube.client import KubeClient


@dataclasses.dataclass(frozen=True)
class DataUploadResult:
    """What a restore knows about an upload.

    Attributes:
        backup_storage_location: Where the repository is.
        datamover: Who made the upload.
        snapshot_id: The repository's snapshot; empty when the upload did not complete.
        source_namespace: Namespace of the backed-up claim; names the repository.
        node_os: Operating system of the volume, empty when unknown.
        snapshot_size: Bytes of file data, 0 when unknown.
    """

    backup_storage_location: str
    datamover: str
    snapshot_id: str
    source_namespace: str
    node_os: str = ""
    snapshot_size: int = 0

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads Velero's JSON; keys without a value are left out of it, unknown keys are ignored.

        Raises:
            UploadResultInvalidError: The text is not a JSON object with values of the right types.
        """
        try:
            data = json.loads(text)
            result = cls(
                backup_storage_location=data.get("backupStorageLocation", ""),
                datamover=data.get("datamover", ""),
                snapshot_id=data.get("snapshotID", ""),
                source_namespace=data.get("sourceNamespace", ""),
                node_os=data.get("nodeOS", ""),
                snapshot_size=data.get("snapshotSize", 0),
            )
        except (ValueError, AttributeError, RecursionError) as error:
            raise UploadResultInvalidError(f"Velero's record of the upload is not a JSON object: {error}.") from error
        for field in dataclasses.fields(cls):
            value = getattr(result, field.name)
            if type(value) is not (int if field.name == "snapshot_size" else str):
                raise UploadResultInvalidError(f"Velero's record of the upload has a wrong value for {field.name}.")
        return result


def restores_volumes(restore: Mapping[str, Any]) -> bool:
    """Whether a restore is to bring volumes back; absent means yes."""
    return (restore.get("spec") or {}).get("restorePVs") is not False


def target_namespace(restore: Mapping[str, Any], namespace: str) -> str:
    """The namespace that objects of a backed-up namespace are restored to."""
    mapping = (restore.get("spec") or {}).get("namespaceMapping") or {}
    return str(mapping.get(namespace, namespace))


def find_upload_result(
    kube: KubeClient, restore: Mapping[str, Any], claim_namespace: str, claim_name: str
) -> DataUploadResult | None:
    """Reads the ConfigMap that Velero makes of a DataUpload early in a restore and removes at its end.

    Args:
        kube: The cluster.
        restore: The Restore in progress.
        claim_namespace: Namespace of the claim in the backup.
        claim_name: Name of the claim.

    Returns:
        None when the backup holds no DataUpload of the claim.

    Raises:
        UploadResultInvalidError: There are several, or the record cannot be read.
    """
    uid = restore["metadata"]["uid"]
    claim = f"{claim_namespace}.{claim_name}"
    labels = {
        RESTORE_UID_LABEL: uid,
        PVC_NAMESPACE_NAME_LABEL: valid_name(claim),
        RESOURCE_USAGE_LABEL: RESOURCE_USAGE_DATA_UPLOAD,
    }
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = kube.list(CONFIG_MAP, restore["metadata"]["namespace"], label_selector=selector)
    if not found:
        return None
    if len(found) > 1:
        raise UploadResultInvalidError(f"The backup holds {len(found)} DataUploads of claim {claim}; one is expected.")
    text = (found[0].get("data") or {}).get(uid)
    if text is None:
        raise UploadResultInvalidError(
            f"ConfigMap {found[0]['metadata']['name']} lacks the record of claim {claim} for restore {uid}."
        )
    return DataUploadResult.from_json(text)


def build_data_download(
    restore: Mapping[str, Any],
    backup: Mapping[str, Any],
    result: DataUploadResult,
    *,
    namespace: str,
    claim_name: str,
    operation_id: str,
) -> dict[str, Any]:
    """Builds the request to fill one claim from the repository.

    Args:
        restore: The Restore; it becomes the owner, so the request goes when the Restore goes.
        backup: The Backup that is restored.
        result: What is known about the upload, with a snapshot id.
        namespace: Namespace the claim is restored to.
        claim_name: Name of the claim.
        operation_id: The operation the request stands for.
    """
    restore_name, restore_uid = restore["metadata"]["name"], restore["metadata"]["uid"]
    spec: dict[str, Any] = {
        "targetVolume": {"namespace": namespace, "pvc": claim_name, "pv": ""},
        "backupStorageLocation": result.backup_storage_location,
        "datamover": result.datamover,
        "snapshotID": result.snapshot_id,
        "sourceNamespace": result.source_namespace,
        "operationTimeout": (backup.get("spec") or {}).get("csiSnapshotTimeout") or DEFAULT_OPERATION_TIMEOUT,
    }
    if config := _data_mover_config(restore):
        spec["dataMoverConfig"] = config
    if result.node_os:
        spec["nodeOS"] = result.node_os
    if result.snapshot_size:
        spec["snapshotSize"] = result.snapshot_size
    return {
        "apiVersion": DATA_DOWNLOAD.api_version,
        "kind": DATA_DOWNLOAD.kind,
        "metadata": {
            "generateName": f"{restore_name}-",
            "namespace": restore["metadata"]["namespace"],
            "labels": {
                RESTORE_NAME_LABEL: valid_name(restore_name),
                RESTORE_UID_LABEL: restore_uid,
                ASYNC_OPERATION_ID_LABEL: operation_id,
            },
            "ownerReferences": [
                {
                    "apiVersion": RESTORE.api_version,
                    "kind": RESTORE.kind,
                    "name": restore_name,
                    "uid": restore_uid,
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }


def _data_mover_config(restore: Mapping[str, Any]) -> dict[str, str]:
    uploader = (restore.get("spec") or {}).get("uploaderConfig") or {}
    config = {}
    if (sparse := uploader.get("writeSparseFiles")) is not None:
        config["WriteSparseFiles"] = "true" if sparse else "false"
    if parallel := uploader.get("parallelFilesDownload"):
        config["ParallelFilesDownload"] = str(parallel)
    return config
