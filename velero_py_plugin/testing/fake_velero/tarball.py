"""What a backup keeps: objects by the path Velero gives them in its archive.

Source: vmware-tanzu/velero v1.18.1 ``pkg/archive/filesystem.go`` (``GetItemFilePath``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from velero_py_plugin.api.resource import ALL, ResourceType
from velero_py_plugin.plugin.kinds import ResourceIdentifier

BackupTarball: TypeAlias = dict[str, dict[str, Any]]
"""Archive path to object."""

_RESOURCES: Final = {resource.group_resource: resource for resource in ALL}


def resource_of(identifier: ResourceIdentifier) -> ResourceType:
    """The type of a named object.

    Raises:
        KeyError: It is none this project knows.
    """
    return _RESOURCES[f"{identifier.resource}.{identifier.group}" if identifier.group else identifier.resource]


def identifier_of(resource: ResourceType, item: Mapping[str, Any]) -> ResourceIdentifier:
    """The name of an object."""
    meta = item["metadata"]
    return ResourceIdentifier(resource.group, resource.plural, meta.get("namespace", ""), meta["name"])


def path_in_tarball(identifier: ResourceIdentifier) -> str:
    """Where an object lies in the archive."""
    scope = f"namespaces/{identifier.namespace}" if identifier.namespace else "cluster"
    return f"resources/{resource_of(identifier).group_resource}/{scope}/{identifier.name}.json"


def stored_items(tarball: BackupTarball, resource: ResourceType) -> list[dict[str, Any]]:
    """The stored objects of one type, in the order of their paths."""
    prefix = f"resources/{resource.group_resource}/"
    return [tarball[path] for path in sorted(tarball) if path.startswith(prefix)]
