"""The contract every API server this project talks to must keep: run against the embedded one and a real one."""

from __future__ import annotations

from tests.interop.kubernetes.contract.deletion import ControllersContract, DeletionContract
from tests.interop.kubernetes.contract.discovery import DiscoveryContract, RefusalContract
from tests.interop.kubernetes.contract.objects import ObjectsContract, StatusSubresourceContract
from tests.interop.kubernetes.contract.reading import ListsContract, WatchesContract
from tests.interop.kubernetes.contract.validation import BuiltInContract, MetadataContract, SchemaContract


class ApiServerContract(
    ObjectsContract,
    StatusSubresourceContract,
    DeletionContract,
    ListsContract,
    WatchesContract,
    MetadataContract,
    SchemaContract,
    BuiltInContract,
    DiscoveryContract,
    RefusalContract,
):
    """What kube-apiserver does by itself."""


class ControlPlaneContract(ApiServerContract, ControllersContract):
    """What kube-apiserver and the controller manager do together."""
