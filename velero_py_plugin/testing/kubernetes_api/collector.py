"""The two controllers without which deletion does not work: the garbage collector and the namespace controller.

In a real cluster both run in the controller manager. Source: kubernetes v1.34.2
``pkg/controller/garbagecollector/garbagecollector.go`` and ``pkg/controller/namespace/deletion``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from velero_py_plugin.testing.kubernetes_api.objects import Objects
from velero_py_plugin.testing.kubernetes_api.served import BY_KIND, BY_PATH, SERVED, ServedType
from velero_py_plugin.testing.kubernetes_api.store import Change, Key, Object, Store

_NAMESPACES = BY_PATH["", "v1", "namespaces"]


class Collector:
    """Deletes what lost its last owner, and what lies in a namespace being deleted.

    Args:
        store: The objects.
        objects: Their deletion.
        later: Runs a function after the current request, in the same thread.
    """

    def __init__(self, store: Store, objects: Objects, later: Callable[[Callable[[], None]], object]) -> None:
        self._store = store
        self._objects = objects
        self._later = later
        self._due = False
        store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        concerns = (
            change.type == "DELETED"
            or change.served is _NAMESPACES
            or bool(change.object["metadata"].get("ownerReferences"))
        )
        if concerns and not self._due:
            self._due = True
            self._later(self._collect)

    def _collect(self) -> None:
        self._due = False
        for served in SERVED:
            for key, stored in list(self._store.items(served)):
                if served is not _NAMESPACES and "deletionTimestamp" not in stored["metadata"]:
                    self._collect_one(served, key, stored)
        for (_, name), stored in list(self._store.items(_NAMESPACES)):
            if "deletionTimestamp" in stored["metadata"]:
                self._finish_namespace(name)

    def _collect_one(self, served: ServedType, key: Key, stored: Object) -> None:
        namespace = self._store.get(_NAMESPACES, ("", key[0])) if key[0] else None
        if namespace is not None and "deletionTimestamp" in namespace["metadata"]:
            self._objects.delete(served, key, {})
            return
        owners = stored["metadata"].get("ownerReferences") or []
        alive = [owner for owner in owners if self._exists(owner, key[0])]
        if owners and not alive:
            self._objects.delete(served, key, {"preconditions": {"uid": stored["metadata"]["uid"]}})
        elif len(alive) < len(owners):
            self._store.put(served, key, {**stored, "metadata": {**stored["metadata"], "ownerReferences": alive}})

    def _exists(self, owner: Mapping[str, Any], namespace: str) -> bool:
        """Whether an owner is there; owners of types that are not served are taken to be."""
        served = BY_KIND.get((owner["apiVersion"], owner["kind"]))
        if served is None:
            return True
        stored = self._store.get(served, (namespace if served.resource.namespaced else "", owner["name"]))
        return stored is not None and stored["metadata"]["uid"] == owner["uid"]

    def _finish_namespace(self, name: str) -> None:
        left = any(key[0] == name for served in SERVED for key, _ in self._store.items(served))
        if not left:
            self._store.remove(_NAMESPACES, ("", name))
