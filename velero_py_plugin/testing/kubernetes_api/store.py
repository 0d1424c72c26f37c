"""Objects, their revisions and their history: what etcd and the watch cache are to a real API server.

Objects are dictionaries that nobody changes once they are stored; a change stores another dictionary.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from velero_py_plugin.testing.kubernetes_api import status
from velero_py_plugin.testing.kubernetes_api.served import ServedType

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name: the order of lists."""
Object = Mapping[str, Any]
_TypeId = tuple[str, str]

_FIRST_REVISION: Final = 100


@dataclasses.dataclass(frozen=True)
class Change:
    """One step of the history.

    Attributes:
        revision: resourceVersion of the step.
        type: ``ADDED``, ``MODIFIED`` or ``DELETED``.
        served: Type of the object.
        key: Namespace and name of the object.
        object: The object after the step; before it, with the step's resourceVersion, when it was deleted.
        previous: The object before the step; None when it was added.
    """

    revision: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    served: ServedType
    key: Key
    object: Object
    previous: Object | None


class Store:
    """Holds all objects; used from one thread only.

    Args:
        history: How many changes are remembered for watches and for the later pages of a list.
    """

    def __init__(self, history: int) -> None:
        self.revision = _FIRST_REVISION
        self._objects: dict[_TypeId, dict[Key, Object]] = {}
        self._history: collections.deque[Change] = collections.deque(maxlen=history)
        self._listeners: list[Callable[[Change], None]] = []

    def get(self, served: ServedType, key: Key) -> Object | None:
        """The object, if it exists."""
        return self._of(served).get(key)

    def items(self, served: ServedType) -> Iterable[tuple[Key, Object]]:
        """All objects of a type, in no order."""
        return self._of(served).items()

    def put(self, served: ServedType, key: Key, new: dict[str, Any]) -> Object:
        """Adds or changes an object; it gets the next resourceVersion."""
        previous = self.get(served, key)
        self.revision += 1
        stored = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self.revision)}}
        self._of(served)[key] = stored
        self._record(Change(self.revision, "MODIFIED" if previous else "ADDED", served, key, stored, previous))
        return stored

    def remove(self, served: ServedType, key: Key) -> Object:
        """Removes an object; returns its last state, with the resourceVersion of the removal."""
        previous = self._of(served).pop(key)
        self.revision += 1
        last = {**previous, "metadata": {**previous["metadata"], "resourceVersion": str(self.revision)}}
        self._record(Change(self.revision, "DELETED", served, key, last, previous))
        return last

    def at(self, served: ServedType, revision: int) -> dict[Key, Object]:
        """All objects of a type as they were at a revision.

        Raises:
            ApiError: 410, the revision is before the history kept.
        """
        objects = dict(self._of(served))
        for change in reversed(self.since(revision)):
            if change.served is not served:
                continue
            if change.previous is None:
                del objects[change.key]
            else:
                objects[change.key] = change.previous
        return objects

    def since(self, revision: int) -> list[Change]:
        """The changes after a revision.

        Raises:
            ApiError: 410, the revision is before the history kept.
        """
        known_from = self._history[0].revision - 1 if self._history else self.revision
        if revision < known_from:
            raise status.expired(f"too old resource version: {revision} ({known_from})")
        newest = itertools.islice(reversed(self._history), max(0, self.revision - revision))  # one change a revision
        return list(newest)[::-1]

    def forget_history(self) -> None:
        """Drops the history, as a compaction does."""
        self._history.clear()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Calls the listener after every change."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[Change], None]) -> None:
        """Ends :meth:`listen`."""
        self._listeners.remove(listener)

    def _of(self, served: ServedType) -> dict[Key, Object]:
        identity = (served.resource.group, served.resource.plural)
        return self._objects.setdefault(identity, {})

    def _record(self, change: Change) -> None:
        self._history.append(change)
        for listener in tuple(self._listeners):
            listener(change)
