"""The PersistentVolume that hands restored data to the claim it was restored for.

The volume names the claim by uid and carries the labels the claim selects by, so that the cluster's own volume binder
binds the two and can bind neither to anything else (kubernetes v1.34.2
``pkg/controller/volume/persistentvolume/pv_controller.go``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from velero_py_plugin.api.names import DYNAMIC_PV_RESTORE_LABEL, MOVER_NAME
from velero_py_plugin.api.resource import PV, PVC
from velero_py_plugin.controller.errors import BlockVolumeUnsupportedError, TargetClaimUnsuitableError

_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


def volume_name(uid: str) -> str:
    """Name and CSI handle of the volume restored for the DataDownload of a uid."""
    return f"{MOVER_NAME}-{uid}"


def check_target_claim(claim: Mapping[str, Any], volume: str) -> None:
    """Makes sure that a claim can be given a restored volume.

    Args:
        claim: The claim.
        volume: Name of the volume.

    Raises:
        TargetClaimUnsuitableError: It is bound to another volume, or another volume could be bound to it.
        BlockVolumeUnsupportedError: It asks for a block device.
    """
    spec = claim.get("spec") or {}
    name = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
    if spec.get("volumeName") not in (None, "", volume):
        raise TargetClaimUnsuitableError(f"the claim {name} is already bound to volume {spec['volumeName']}.")
    if spec.get("volumeMode") == "Block":
        raise BlockVolumeUnsupportedError(f"the claim {name} asks for a block device; only file systems are restored.")
    if DYNAMIC_PV_RESTORE_LABEL not in ((spec.get("selector") or {}).get("matchLabels") or {}):
        raise TargetClaimUnsuitableError(
            f"the claim {name} does not select by the label {DYNAMIC_PV_RESTORE_LABEL}, "
            "so an empty volume could be bound to it; restore it again through Velero."
        )
    if not spec.get("storageClassName"):
        raise TargetClaimUnsuitableError(f"the claim {name} names no storage class.")


def build_restored_volume(
    claim: Mapping[str, Any], storage_class: Mapping[str, Any], *, name: str, handle: str
) -> dict[str, Any]:
    """Builds the volume.

    Args:
        claim: The claim it is for.
        storage_class: The claim's storage class.
        name: Name of the volume.
        handle: Its handle at the CSI driver.
    """
    meta, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": PV.api_version,
        "kind": PV.kind,
        "metadata": {
            "name": name,
            "labels": dict(spec["selector"]["matchLabels"]),
            # Whoever deletes a released volume of this class looks for its own name here.
            "annotations": {_PROVISIONED_BY: storage_class["provisioner"]},
        },
        "spec": {
            "capacity": dict(spec["resources"]["requests"]),
            "accessModes": list(spec["accessModes"]),
            "volumeMode": spec.get("volumeMode") or "Filesystem",
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "csi": {"driver": storage_class["provisioner"], "volumeHandle": handle},
            "claimRef": {
                "apiVersion": PVC.api_version,
                "kind": PVC.kind,
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
        },
    }


def is_bound(claim: Mapping[str, Any], volume: str) -> bool:
    """Whether the binder has finished binding a claim to a volume."""
    status = claim.get("status") or {}
    return bool(claim["spec"].get("volumeName") == volume and status.get("phase") == "Bound")
