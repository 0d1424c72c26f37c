"""The documents by which clients find out what the API server serves."""

from __future__ import annotations

from typing import Any, Final

from velero_py_plugin.testing.kubernetes_api.served import SERVED, ServedType

VERSION: Final = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0-embedded",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "python",
}
CORE_VERSIONS: Final = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups() -> dict[str, Any]:
    """``/apis``: all groups."""
    names = sorted({served.resource.group for served in SERVED} - {""})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]}


def group(name: str) -> dict[str, Any] | None:
    """``/apis/GROUP``: one group; None when it is not served."""
    found = any(served.resource.group == name for served in SERVED)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)} if found and name else None


def resources(group_name: str, version: str) -> dict[str, Any] | None:
    """``/api/v1`` and ``/apis/GROUP/VERSION``: the types; None when the version is not served."""
    found = [served for served in SERVED if (served.resource.group, served.resource.version) == (group_name, version)]
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].resource.api_version,
        "resources": [entry for served in found for entry in _entries(served)],
    }


def _group(name: str) -> dict[str, Any]:
    # Newer versions first: a stable version is preferred to an alpha one.
    versions = sorted({served.resource.version for served in SERVED if served.resource.group == name}, key=len)
    documents = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": documents, "preferredVersion": documents[0]}


def _entries(served: ServedType) -> list[dict[str, Any]]:
    base: dict[str, Any] = {
        "name": served.resource.plural,
        "singularName": served.singular,
        "namespaced": served.resource.namespaced,
        "kind": served.resource.kind,
        "verbs": list(served.verbs),
    }
    if served.short_names:
        base["shortNames"] = list(served.short_names)
    entries = [base]
    if served.resource.status_subresource:
        entries.append(
            {
                "name": f"{served.resource.plural}/status",
                "singularName": "",
                "namespaced": served.resource.namespaced,
                "kind": served.resource.kind,
                "verbs": ["get", "patch", "update"],
            }
        )
    return entries
