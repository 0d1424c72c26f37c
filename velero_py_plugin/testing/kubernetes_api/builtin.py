"""Rules of built-in types that this project could trip over: defaults, required fields, fields that must not change.

Not a copy of the API server's validation: pods and claims are checked for what a mover needs of them. Source:
kubernetes v1.34.2 ``pkg/apis/core/validation/validation.go``, ``pkg/apis/core/v1/defaults.go`` and
``pkg/registry/core/*/strategy.go``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from velero_py_plugin.api import resource

Rule = Callable[[dict[str, Any], Mapping[str, Any] | None], Iterator[str]]
"""Fills in defaults of the new object and yields what is wrong with it; the second argument is the stored object."""

_POD_SPEC_MUTABLE: Final = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")


def _namespace(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    new.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    if old is None:
        new["status"] = {"phase": "Active"}
        new["metadata"]["labels"] = {
            **(new["metadata"].get("labels") or {}),
            "kubernetes.io/metadata.name": new["metadata"]["name"],
        }
    yield from ()


def _config_map(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    for key, value in (new.get("data") or {}).items():
        if not isinstance(value, str):
            yield f"data[{key}]: Invalid value: must be a string"
    yield from _immutable_data(new, old)


def _secret(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    new.setdefault("type", "Opaque")
    plain = new.pop("stringData", None)
    if plain:
        new["data"] = {
            **(new.get("data") or {}),
            **{key: base64.b64encode(value.encode()).decode() for key, value in plain.items()},
        }
    for key, value in (new.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            yield f"data[{key}]: Invalid value: must be base64"
    if old is not None and new["type"] != old["type"]:
        yield f'type: Invalid value: "{new["type"]}": field is immutable'
    yield from _immutable_data(new, old)


def _immutable_data(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    if old is None or not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield "immutable: Forbidden: field is immutable when `immutable` is set"
    for field in ("data", "binaryData"):
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield f"{field}: Forbidden: field is immutable when `immutable` is set"


def _pod(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    spec = new.setdefault("spec", {})
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    if old is None:
        new["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
    if not spec.get("containers"):
        yield "spec.containers: Required value"
    volumes = [volume.get("name") for volume in spec.get("volumes") or ()]
    for index, container in enumerate(spec.get("containers") or ()):
        where = f"spec.containers[{index}]"
        for field in ("name", "image"):
            if not container.get(field):
                yield f"{where}.{field}: Required value"
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            if mount.get("name") not in volumes:
                yield f'{where}.volumeMounts[{number}].name: Not found: "{mount.get("name")}"'
    if old is not None and _pod_spec_core(spec) != _pod_spec_core(old["spec"]):
        yield (
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
            "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
            "negative)"
        )


def _pod_spec_core(spec: Mapping[str, Any]) -> dict[str, Any]:
    core = {key: value for key, value in spec.items() if key not in _POD_SPEC_MUTABLE}
    for group in ("containers", "initContainers"):
        core[group] = [{**container, "image": ""} for container in spec.get(group) or ()]
    return core


def _claim(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    spec = new.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("dataSource") and not spec.get("dataSourceRef"):
        spec["dataSourceRef"] = spec["dataSource"]
    if old is None:
        new["status"] = {"phase": "Pending"}
    if not spec.get("accessModes"):
        yield "spec.accessModes: Required value: at least 1 access mode is required"
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        yield "spec.resources[storage]: Required value"
    if old is not None and _claim_spec_core(spec, old["spec"]) != _claim_spec_core(old["spec"], old["spec"]):
        yield (
            "spec: Forbidden: spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )


def _claim_spec_core(spec: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """What of a claim's spec may not change: all but the size, and the volume and storage class once they are set."""
    free = {"resources"} | {field for field in ("volumeName", "storageClassName") if not old.get(field)}
    return {key: value for key, value in spec.items() if key not in free}


def _volume(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    spec = new.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if old is None:
        new["status"] = {"phase": "Pending"}
    if not spec.get("accessModes"):
        yield "spec.accessModes: Required value"
    if not (spec.get("capacity") or {}).get("storage"):
        yield "spec.capacity: Required value"
    sources = [key for key in spec if key in _VOLUME_SOURCES]
    if len(sources) != 1:
        yield "spec: Required value: must specify exactly one volume type"
    elif old is not None and spec[sources[0]] != old["spec"].get(sources[0]):
        yield "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"


_VOLUME_SOURCES: Final = frozenset({"csi", "hostPath", "local", "nfs", "iscsi", "fc", "cephfs", "rbd"})


def _storage_class(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    new.setdefault("reclaimPolicy", "Delete")
    new.setdefault("volumeBindingMode", "Immediate")
    if not new.get("provisioner"):
        yield "provisioner: Required value"
    for field in ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"):
        if old is not None and new.get(field) != old.get(field):
            yield f"{field}: Forbidden: updates to {field} are forbidden."


def _event(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    del old
    involved = (new.get("involvedObject") or {}).get("namespace") or "default"
    if involved != new["metadata"]["namespace"]:
        yield f'involvedObject.namespace: Invalid value: "{involved}": does not match event.namespace'


def _nothing(new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
    del new, old
    yield from ()


_RULES: Final[Mapping[resource.ResourceType, Rule]] = {
    resource.NAMESPACE: _namespace,
    resource.CONFIG_MAP: _config_map,
    resource.SECRET: _secret,
    resource.POD: _pod,
    resource.PVC: _claim,
    resource.PV: _volume,
    resource.STORAGE_CLASS: _storage_class,
    resource.EVENT: _event,
}


def rule(resource_type: resource.ResourceType) -> Rule:
    """The rules of a built-in type."""
    return _RULES.get(resource_type, _nothing)
