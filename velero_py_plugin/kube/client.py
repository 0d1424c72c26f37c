"""Reading and writing Kubernetes objects, as plain dictionaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator
from typing import Any, Final, Self
from urllib.parse import quote

from velero_py_plugin import errors as root_errors
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube import config, errors, transport

_PAGE_SIZE: Final = 500
_WATCH_SLACK: Final = 15.0


@dataclasses.dataclass(frozen=True)
class WatchEvent:
    """One change seen by a watch.

    Attributes:
        type: ``ADDED``, ``MODIFIED`` or ``DELETED``.
        object: The object after the change; before it, where it was deleted.
    """

    type: str
    object: dict[str, Any]

    @property
    def resource_version(self) -> str:
        """Where a later watch continues."""
        return str(self.object["metadata"]["resourceVersion"])


class KubeClient:
    """The calls this project makes; safe to use from several threads.

    Every method raises the errors of :mod:`velero_py_plugin.kube.errors`: what is worth trying again at once (an
    overloaded server, a refused or broken connection) was tried again before, for at most ``retry_seconds``.

    Args:
        kube_config: Server and identity.
        timeout: Seconds to wait for a connection, and for each answer.
        retry_seconds: For how long after the first try of a call another one may start.
    """

    def __init__(self, kube_config: config.KubeConfig, *, timeout: float = 30.0, retry_seconds: float = 12.0) -> None:
        self._transport = transport.Transport(kube_config, timeout=timeout, retry_seconds=retry_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, resource: ResourceType, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Reads one object."""
        return self._transport.call(transport.Request("GET", _object_path(resource, namespace, name)))

    def list(
        self,
        resource: ResourceType,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[dict[str, Any]]:
        """Reads all objects of a type, page by page.

        Args:
            resource: The type.
            namespace: Where to look; all namespaces when None.
            label_selector: Kubernetes label selector.
            field_selector: Kubernetes field selector.

        Returns:
            The objects, each with ``apiVersion`` and ``kind`` (which the server leaves out of built-in types' lists).
        """
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        path = _collection_path(resource, namespace)
        try:
            return list(self._pages(resource, path, {**query, "limit": str(_PAGE_SIZE)}))
        except errors.GoneError:
            # The continuation outlived the server's history: read everything in one answer, like client-go's pager.
            return list(self._pages(resource, path, query))

    def create(self, resource: ResourceType, body: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
        """Creates an object.

        Args:
            resource: The type.
            body: The object; ``apiVersion`` and ``kind`` may be left out.
            namespace: Where to create it; the body's namespace when None.

        Returns:
            The object as the server stored it.
        """
        metadata = body.get("metadata") or {}
        path = _collection_path(resource, _namespace_for(resource, namespace or metadata.get("namespace")))
        # A create that may have reached the server is not sent again: it could make a second object of generateName,
        # or report its own first try as AlreadyExists.
        return self._transport.call(transport.Request("POST", path, body=_typed(resource, body), repeatable=False))

    def merge_patch(
        self,
        resource: ResourceType,
        name: str,
        patch: dict[str, Any],
        namespace: str | None = None,
        *,
        status: bool = False,
    ) -> dict[str, Any]:
        """Changes the given fields of an object (RFC 7386); None removes a field.

        Args:
            resource: The type.
            name: The object's name.
            patch: The fields; ``metadata.resourceVersion`` in it makes the change conditional.
            namespace: The object's namespace.
            status: Write through the ``/status`` subresource.

        Returns:
            The object after the change.
        """
        path = _object_path(resource, namespace, name, subresource="status" if status else "")
        return self._transport.call(transport.Request("PATCH", path, body=patch, content_type=transport.MERGE_PATCH))

    def replace(self, resource: ResourceType, body: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
        """Replaces an object, if it is still at the body's resourceVersion.

        Raises:
            ConflictError: Somebody else changed it.
        """
        metadata = body.get("metadata") or {}
        path = _object_path(
            resource,
            metadata.get("namespace"),
            metadata.get("name") or "",
            subresource="status" if status else "",
        )
        return self._transport.call(transport.Request("PUT", path, body=_typed(resource, body)))

    def delete(
        self,
        resource: ResourceType,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Deletes an object; what it owns is deleted after it, in the background.

        Args:
            resource: The type.
            name: The object's name.
            namespace: The object's namespace.
            uid: Delete only the object with this uid.
            grace_seconds: How long a Pod may take to end; its own setting when None, at once when 0.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: The object has another uid.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        self._transport.call(transport.Request("DELETE", _object_path(resource, namespace, name), body=options))

    def watch(
        self,
        resource: ResourceType,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        timeout_seconds: int = 300,
    ) -> Generator[WatchEvent, None, None]:
        """Yields changes as they happen.

        Ends after ``timeout_seconds``, and earlier where the connection breaks; either way the caller continues from
        the last event's resourceVersion. ``close()`` of the generator ends it from this side.

        Args:
            resource: The type.
            namespace: Where to look; all namespaces when None.
            resource_version: Continue after this version; when empty, every existing object comes first as ``ADDED``.
            label_selector: Kubernetes label selector.
            timeout_seconds: When the server ends the watch.

        Raises:
            GoneError: The version is too old: list again.
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "timeoutSeconds": str(timeout_seconds),
        }
        request = transport.Request("GET", _collection_path(resource, namespace), query)
        for event in self._transport.stream(request, idle_seconds=timeout_seconds + _WATCH_SLACK):
            if event["type"] == "ERROR":
                status = event["object"]
                raise errors.from_status(status.get("code", 500), status, server=self._transport.server)
            yield WatchEvent(event["type"], event["object"])

    def close(self) -> None:
        """Closes the idle connections."""
        self._transport.close()

    def _pages(self, resource: ResourceType, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._transport.call(transport.Request("GET", path, {**query, "continue": token}))
            for item in page.get("items") or ():
                yield _typed(resource, item)
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return


def _typed(resource: ResourceType, body: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _collection_path(resource: ResourceType, namespace: str | None) -> str:
    prefix = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = f"/namespaces/{_segment(namespace)}" if resource.namespaced and namespace else ""
    return f"{prefix}{scope}/{resource.plural}"


def _object_path(resource: ResourceType, namespace: str | None, name: str, *, subresource: str = "") -> str:
    path = f"{_collection_path(resource, _namespace_for(resource, namespace))}/{_segment(name)}"
    return f"{path}/{subresource}" if subresource else path


def _namespace_for(resource: ResourceType, namespace: str | None) -> str | None:
    if resource.namespaced and not namespace:
        raise root_errors.UsageError(f"A {resource.kind} lives in a namespace, and none was given.")
    return namespace


def _segment(name: str) -> str:
    """One path segment; a name that would address another path (the collection, for example) is refused."""
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise errors.InvalidObjectError(f'"{name}" is not the name of a Kubernetes object.')
    return quote(name, safe="")
