"""Lists, page by page, and watches.

Source: kubernetes v1.34.2 ``apiserver/pkg/storage/etcd3/store.go`` (lists), ``apiserver/pkg/storage/continue.go``,
``apiserver/pkg/storage/cacher`` and ``apiserver/pkg/endpoints/handlers/{get,watch}.go`` (watches).
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from velero_py_plugin.testing.kubernetes_api import selector, status
from velero_py_plugin.testing.kubernetes_api.served import ServedType
from velero_py_plugin.testing.kubernetes_api.store import Change, Key, Object, Store

_LONGEST_WATCH: Final = 1800.0
_BOOKMARK_SECONDS: Final = 60.0
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


@dataclasses.dataclass(frozen=True)
class Scope:
    """Which objects of a type a request is about.

    Attributes:
        served: The type.
        namespace: The namespace; empty for all.
        labels: Test of the label selector.
        fields: Test of the field selector.
    """

    served: ServedType
    namespace: str
    labels: selector.Predicate
    fields: selector.Predicate

    @classmethod
    def of(cls, served: ServedType, namespace: str, query: Mapping[str, str]) -> Scope:
        """Reads the selectors of a request."""
        return cls(
            served,
            namespace,
            selector.parse_labels(query.get("labelSelector", "")),
            selector.parse_fields(query.get("fieldSelector", ""), served.fields),
        )

    def holds(self, stored: Object) -> bool:
        """Whether an object belongs to the scope."""
        if self.namespace and stored["metadata"].get("namespace") != self.namespace:
            return False
        return self.labels(stored) and self.fields(stored)


def list_objects(store: Store, scope: Scope, query: Mapping[str, str]) -> dict[str, Any]:
    """Answers a list request: all objects of the scope, or one page of them, as they were at one revision."""
    limit = _number(query, "limit") or 0
    revision, after = store.revision, ("", "")
    if query.get("continue"):
        revision, after = _read_token(query["continue"])
    else:
        wanted = _number(query, "resourceVersion") or 0
        if wanted > revision:
            raise status.too_large_version(wanted, revision)
        if query.get("resourceVersionMatch") == "Exact":
            revision = wanted
    found = [
        (key, stored)
        for key, stored in sorted(store.at(scope.served, revision).items())
        if key > after and scope.holds(stored)
    ]
    page = found[:limit] if limit else found
    meta: dict[str, Any] = {"resourceVersion": str(revision)}
    if len(page) < len(found):
        meta["continue"] = _token(revision, page[-1][0])
        if not (query.get("labelSelector") or query.get("fieldSelector")):
            meta["remainingItemCount"] = len(found) - len(page)
    resource_type = scope.served.resource
    items = [_list_item(scope.served, stored) for _, stored in page]
    return {
        "apiVersion": resource_type.api_version,
        "kind": f"{resource_type.kind}List",
        "metadata": meta,
        "items": items,
    }


def _list_item(served: ServedType, stored: Object) -> Object:
    """Lists of built-in types do not repeat the type in each item; lists of custom resources do."""
    if served.schema is not None:
        return stored
    return {key: value for key, value in stored.items() if key not in ("apiVersion", "kind")}


def _token(revision: int, key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *key]).encode()).decode()


def _read_token(text: str) -> tuple[int, Key]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(text))
        return int(revision), (str(namespace), str(name))
    except (ValueError, TypeError) as error:
        raise status.bad_request("continue key is not valid") from error


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise status.bad_request(f'{name}: Invalid value: "{text}": must be a non-negative integer')
    return int(text)


class Watch:
    """One watch. It sees every change after its construction; a bad request is refused there.

    Args:
        store: The objects.
        scope: Which of them.
        query: The request's parameters.
    """

    def __init__(self, store: Store, scope: Scope, query: Mapping[str, str]) -> None:
        self._store = store
        self._scope = scope
        self._bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        self._seconds = _number(query, "timeoutSeconds") or _LONGEST_WATCH
        self._queue: asyncio.Queue[Change] = asyncio.Queue()
        try:
            since = _number(query, "resourceVersion")
        except status.ApiError as error:
            raise status.ApiError(500, "", error.message) from error  # as a real server does
        self._send_initial = query.get("sendInitialEvents") in ("true", "1")
        if self._send_initial and query.get("resourceVersionMatch") != "NotOlderThan":
            raise status.ApiError(
                422,
                "Invalid",
                "ListOptions.meta.k8s.io is invalid: resourceVersionMatch: Forbidden: "
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )
        self._first: list[dict[str, Any]] = []
        self._prepare(None if self._send_initial else since)
        store.listen(self._queue.put_nowait)

    def close(self) -> None:
        """Ends it; to be called once."""
        self._store.unlisten(self._queue.put_nowait)

    def _prepare(self, since: int | None) -> None:
        """Collects what comes before the first new change."""
        if not since:  # absent and 0 both mean: from the present state
            present = sorted(self._store.items(self._scope.served))
            self._first = [{"type": "ADDED", "object": stored} for _, stored in present if self._scope.holds(stored)]
            if self._send_initial and self._bookmarks:
                self._first.append(self._bookmark({_INITIAL_EVENTS_END: "true"}))
            return
        try:
            for change in self._store.since(since):
                self._queue.put_nowait(change)
        except status.ApiError as error:
            self._first = [{"type": "ERROR", "object": error.to_json()}]
            self._seconds = 0

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the events until the watch's time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        for event in self._first:
            yield event
        while (left := end - loop.time()) > 0:
            try:
                change = await asyncio.wait_for(self._queue.get(), min(left, _BOOKMARK_SECONDS))
            except TimeoutError:
                if self._bookmarks:  # once a minute, and when the watch ends
                    yield self._bookmark({})
                continue
            seen = self._seen(change)
            if seen is not None:
                yield seen

    def _seen(self, change: Change) -> dict[str, Any] | None:
        """The change as this watch sees it: an object that leaves the scope is deleted, one that enters it is added."""
        if change.served is not self._scope.served:
            return None
        before = change.previous is not None and self._scope.holds(change.previous)
        after = change.type != "DELETED" and self._scope.holds(change.object)
        if after:
            return {"type": "MODIFIED" if before else "ADDED", "object": change.object}
        if not before or change.previous is None:
            return None
        # The last state the watcher could see, with the revision of the change.
        last_meta = {**change.previous["metadata"], "resourceVersion": str(change.revision)}
        return {"type": "DELETED", "object": {**change.previous, "metadata": last_meta}}

    def _bookmark(self, annotations: Mapping[str, str]) -> dict[str, Any]:
        meta: dict[str, Any] = {"resourceVersion": str(self._store.revision), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = dict(annotations)
        resource_type = self._scope.served.resource
        return {
            "type": "BOOKMARK",
            "object": {"kind": resource_type.kind, "apiVersion": resource_type.api_version, "metadata": meta},
        }
