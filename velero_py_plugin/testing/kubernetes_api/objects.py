"""Creating, changing and deleting objects the way the API server does.

Source: kubernetes v1.34.2 ``apiserver/pkg/registry/rest/{create,update,delete}.go``,
``apiserver/pkg/registry/generic/registry/store.go``, ``apiserver/pkg/endpoints/handlers/patch.go`` and
``apiextensions-apiserver/pkg/registry/customresource/strategy.go``.
"""

from __future__ import annotations

import copy
import datetime
import uuid
from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.api import resource
from velero_py_plugin.testing.kubernetes_api import metadata, patch, status
from velero_py_plugin.testing.kubernetes_api.served import BY_PATH, ServedType
from velero_py_plugin.testing.kubernetes_api.store import Key, Object, Store

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
_STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
_APPLY_PATCH: Final = "application/apply-patch+yaml"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_NAMES_TRIED: Final = 8
# Fields of metadata that only the server writes.
_SERVER_FIELDS: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_IMMUTABLE_FIELDS: Final = ("uid", "creationTimestamp", "deletionTimestamp")
_ANSWERED_WITH_OBJECT: Final = frozenset({resource.POD, resource.PVC, resource.PV, resource.NAMESPACE})


def now() -> datetime.datetime:
    """The time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def timestamp(moment: datetime.datetime) -> str:
    """A time as Kubernetes writes it: whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def namespace_terminating(store: Store, namespace: str) -> bool | None:
    """Whether a namespace is being deleted; None when there is no such namespace."""
    stored = store.get(BY_PATH["", "v1", "namespaces"], ("", namespace))
    return None if stored is None else "deletionTimestamp" in stored["metadata"]


class Objects:
    """The write operations on a store, and single reads.

    Every method raises :class:`status.ApiError` for what a real server refuses.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, served: ServedType, key: Key) -> Object:
        """One object."""
        stored = self._store.get(served, key)
        if stored is None:
            raise status.not_found(served.resource, key[1])
        return stored

    def create(self, served: ServedType, namespace: str, body: Any) -> Object:
        """Adds an object from a request's body."""
        new = _decoded(served, body)
        meta: dict[str, Any] = new["metadata"]
        if namespace:
            if meta.setdefault("namespace", namespace) != namespace:
                raise status.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            meta.pop("namespace", None)
        for field in (*_SERVER_FIELDS, "managedFields", "selfLink"):
            meta.pop(field, None)
        if meta.pop("resourceVersion", None):
            # The store itself refuses it, too late for a proper reason.
            raise status.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._name(served, namespace, meta)
        self._check_namespace(served, namespace, meta["name"])
        if served.resource.status_subresource:
            new.pop("status", None)
        if served.resource == resource.PVC:
            self._default_storage_class(new)
        self._complete(served, new, None)
        meta = new["metadata"]
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = timestamp(now())
        if served.counts_generations:
            meta["generation"] = 1
        key = (namespace, meta["name"])
        if self._store.get(served, key) is not None:
            raise status.already_exists(served.resource, meta["name"])
        return self._store.put(served, key, new)

    def replace(self, served: ServedType, key: Key, body: Any, subresource: str) -> Object:
        """Puts a request's body in the place of an object."""
        new = _decoded(served, body)
        meta = new["metadata"]
        if meta.get("name") != key[1]:
            raise status.bad_request(
                f"the name of the object ({meta.get('name') or ''}) does not match the name on the URL ({key[1]})"
            )
        if key[0] and meta.setdefault("namespace", key[0]) != key[0]:
            raise status.bad_request(
                f"the namespace of the object ({meta['namespace']}) does not match the namespace on the URL ({key[0]})"
            )
        if served.create_on_update and self._store.get(served, key) is None:
            if meta.get("resourceVersion"):
                raise status.conflict(served.resource, key[1])
            return self.create(served, key[0], new)
        current = self.read(served, key)
        if not meta.get("resourceVersion") and not served.unconditional_update:
            raise status.invalid(
                served.resource,
                key[1],
                ["metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"],
            )
        uid = meta.get("uid")
        if uid and uid != current["metadata"]["uid"]:
            raise status.conflict(
                served.resource,
                key[1],
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current['metadata']['uid']}",
            )
        return self._update(served, key, current, new, subresource)

    def patch(self, served: ServedType, key: Key, content_type: str, body: Any, subresource: str) -> Object:
        """Applies a request's patch to an object."""
        accepted = [JSON_PATCH, MERGE_PATCH]
        if content_type == _APPLY_PATCH:
            raise status.not_implemented("server-side apply")
        if content_type == _STRATEGIC_PATCH and served.schema is None:
            raise status.not_implemented("strategic merge patches")
        if content_type not in accepted:
            raise status.unsupported_media_type([*accepted, _APPLY_PATCH])
        current = self.read(served, key)
        if content_type == MERGE_PATCH:
            if not isinstance(body, dict):
                raise status.bad_request("a merge patch is an object")
            patched = patch.merge(current, body)
        else:
            if not isinstance(body, list) or not all(isinstance(operation, dict) for operation in body):
                raise status.bad_request("a JSON patch is a list of operations")
            try:
                patched = patch.apply(current, body)
            except patch.PatchError as error:
                # The server words it like this, and gives no details.
                raise status.ApiError(
                    422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
                ) from error
        new = _decoded(served, patched)
        if (new["metadata"].get("name"), new["metadata"].get("namespace", "")) != (key[1], key[0]):
            raise status.bad_request("the name or namespace of the object does not match the URL")
        return self._update(served, key, current, new, subresource)

    def delete(self, served: ServedType, key: Key, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Deletes an object, or marks it when a finalizer or a running pod holds it; returns the answer's body."""
        if options.get("propagationPolicy") not in (None, "Background") or options.get("orphanDependents"):
            raise status.not_implemented("deletion other than in the background")
        current = self.read(served, key)
        wanted = options.get("preconditions") or {}
        for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            found = current["metadata"][field]
            if wanted.get(field) not in (None, found):
                raise status.precondition_failed(served.resource, key[1], label, wanted[field], found)
        grace = _grace_seconds(served, current, options)
        if grace == 0 and not current["metadata"].get("finalizers") and served.resource != resource.NAMESPACE:
            return self._deleted(served, self._store.remove(served, key))
        return self._mark_deleted(served, key, current, grace)

    def _deleted(self, served: ServedType, last: Object) -> Mapping[str, Any]:
        if served.resource in _ANSWERED_WITH_OBJECT:
            return last
        details = {"name": last["metadata"]["name"], "kind": served.resource.plural, "uid": last["metadata"]["uid"]}
        if served.resource.group:
            details["group"] = served.resource.group
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _mark_deleted(self, served: ServedType, key: Key, current: Object, grace: int) -> Object:
        meta = dict(current["metadata"])
        if "deletionTimestamp" in meta and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return current
        if "deletionTimestamp" not in meta and "generation" in meta:
            meta["generation"] += 1
        meta["deletionTimestamp"] = timestamp(now() + datetime.timedelta(seconds=grace))
        if served.resource != resource.NAMESPACE:
            meta["deletionGracePeriodSeconds"] = grace
        new = {**current, "metadata": meta}
        if served.resource == resource.NAMESPACE:
            new["status"] = {**current.get("status", {}), "phase": "Terminating"}
        return self._store.put(served, key, new)

    def _update(self, served: ServedType, key: Key, current: Object, new: dict[str, Any], subresource: str) -> Object:
        old_meta = current["metadata"]
        expected = new["metadata"].get("resourceVersion")
        if expected and expected != old_meta["resourceVersion"]:
            raise status.conflict(served.resource, key[1])
        if subresource:
            new = {**copy.deepcopy(dict(current)), "status": new.get("status")}
            if new["status"] is None:
                del new["status"]
        elif served.resource.status_subresource:
            new.pop("status", None)
            if "status" in current:
                new["status"] = copy.deepcopy(current["status"])
        meta = new["metadata"]
        changed = [field for field in _IMMUTABLE_FIELDS if meta.get(field) not in (None, "", old_meta.get(field))]
        for field in _SERVER_FIELDS:
            meta.pop(field, None)
            if field in old_meta:
                meta[field] = old_meta[field]
        meta["resourceVersion"] = old_meta["resourceVersion"]
        causes = [f"metadata.{field}: Invalid value: field is immutable" for field in changed]
        if "deletionTimestamp" in old_meta:
            added = set(meta.get("finalizers") or ()) - set(old_meta.get("finalizers") or ())
            causes += [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
                f'found new finalizers ["{name}"]'
                for name in sorted(added)
            ]
        self._complete(served, new, current, causes)
        meta = new["metadata"]
        if served.counts_generations and _desired(served, new) != _desired(served, current):
            meta["generation"] = old_meta["generation"] + 1
        if _deletable(served, meta):
            self._store.remove(served, key)
            return new
        return current if new == current else self._store.put(served, key, new)

    def _complete(
        self, served: ServedType, new: dict[str, Any], old: Object | None, causes: list[str] | None = None
    ) -> None:
        """Fills in defaults and refuses what breaks a rule."""
        found = [*(causes or ()), *metadata.problems(new["metadata"], name_is_label=served.names_are_labels)]
        found += served.complete(new, old)
        if found:
            raise status.invalid(served.resource, new["metadata"]["name"], found)

    def _name(self, served: ServedType, namespace: str, meta: dict[str, Any]) -> None:
        if meta.get("name"):
            return
        base = meta.get("generateName")
        if not base:
            raise status.invalid(
                served.resource, "", ["metadata.name: Required value: name or generateName is required"]
            )
        for _ in range(_NAMES_TRIED):
            meta["name"] = metadata.generated_name(base)
            if self._store.get(served, (namespace, meta["name"])) is None:
                return

    def _default_storage_class(self, claim: dict[str, Any]) -> None:
        """What admission plug-in DefaultStorageClass does: the newest class marked as default."""
        spec = claim.get("spec")
        if not isinstance(spec, dict) or spec.get("storageClassName") is not None:
            return
        defaults = [
            (stored["metadata"]["creationTimestamp"], key[1])
            for key, stored in self._store.items(BY_PATH["storage.k8s.io", "v1", "storageclasses"])
            if (stored["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
        ]
        if defaults:
            spec["storageClassName"] = max(defaults)[1]

    def _check_namespace(self, served: ServedType, namespace: str, name: str) -> None:
        if not served.resource.namespaced:
            return
        terminating = namespace_terminating(self._store, namespace)
        if terminating is None:
            raise status.not_found(resource.NAMESPACE, namespace)
        if terminating:
            raise status.forbidden(
                served.resource,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )


def _decoded(served: ServedType, body: Any) -> dict[str, Any]:
    """A deep copy of a request's object, of the right type."""
    resource_type = served.resource
    if not isinstance(body, dict):
        raise status.bad_request("the object provided is not a JSON object")
    new = copy.deepcopy(body)
    if served.schema is None:  # built-in types are decoded by what the URL says
        new.setdefault("apiVersion", resource_type.api_version)
        new.setdefault("kind", resource_type.kind)
    if not new.get("kind"):
        raise status.bad_request("Object 'Kind' is missing")
    if new.get("apiVersion") != resource_type.api_version:
        raise status.bad_request(
            f"the API version in the data ({new.get('apiVersion') or ''}) does not match the expected API version "
            f"({resource_type.api_version})"
        )
    for field in ("labels", "annotations"):
        texts = (new.get("metadata") or {}).get(field)
        if isinstance(texts, dict):  # null decodes to the empty string
            texts.update({key: "" for key, value in texts.items() if value is None})
    problem = metadata.type_problem(new.setdefault("metadata", {}))
    if problem:
        raise status.bad_request(f"the object provided is unrecognized: {problem}")
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not new["metadata"].get(field):
            new["metadata"].pop(field, None)
    if new["kind"] != resource_type.kind:
        problem = f'kind: Invalid value: "{new["kind"]}": must be {resource_type.kind}'
        if served.schema is None:
            raise status.bad_request(problem)
        raise status.invalid(resource_type, str(new["metadata"].get("name")), [problem])
    return new


def _desired(served: ServedType, stored: Object) -> dict[str, Any]:
    """What a generation counts: everything but metadata, and but status where that is a subresource."""
    ignored = {"metadata"} | ({"status"} if served.resource.status_subresource else set())
    return {key: value for key, value in stored.items() if key not in ignored}


def _deletable(served: ServedType, meta: Mapping[str, Any]) -> bool:
    """Whether nothing holds an object that is being deleted; a namespace waits for its content."""
    held = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds") or served.resource == resource.NAMESPACE
    return "deletionTimestamp" in meta and not held


def _grace_seconds(served: ServedType, current: Object, options: Mapping[str, Any]) -> int:
    """How long a pod may take to end: nothing for one that no node runs, or that has ended."""
    if served.resource != resource.POD:
        return 0
    if not current["spec"].get("nodeName") or current.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(current["spec"]["terminationGracePeriodSeconds"] if asked is None else asked)
