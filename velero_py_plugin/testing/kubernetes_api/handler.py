"""Requests of the embedded API: which path and method does what."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from velero_py_plugin.testing.kubernetes_api import discovery, reading, status
from velero_py_plugin.testing.kubernetes_api.collector import Collector
from velero_py_plugin.testing.kubernetes_api.faults import Faults
from velero_py_plugin.testing.kubernetes_api.objects import Objects, now, timestamp
from velero_py_plugin.testing.kubernetes_api.served import BY_PATH, DEFINITIONS, SERVED, ServedType, definition
from velero_py_plugin.testing.kubernetes_api.store import Store

_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
_RESOURCE_PATH: Final = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?$"
)
_NAMESPACE_PATH: Final = re.compile(r"^/api/v1/namespaces/(?P<name>[^/]+)(?:/(?P<subresource>status|finalize))?$")
_POD_SUBRESOURCES: Final = frozenset(
    {"attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize"}
)


class Handler:
    """Answers requests; lives in the server's event loop."""

    def __init__(self, token: str, faults: Faults, store: Store) -> None:
        self.store = store
        self._token = token
        self._faults = faults
        self._objects = Objects(store)
        self._watching: set[asyncio.Transport] = set()
        self._seed()
        Collector(store, self._objects, asyncio.get_running_loop().call_soon)

    def _seed(self) -> None:
        for name in _NAMESPACES:
            self._objects.create(BY_PATH["", "v1", "namespaces"], "", {"metadata": {"name": name}})
        for served in SERVED:
            if served.schema is None:
                continue
            document = definition(served)
            document["metadata"] |= {"uid": f"crd-{served.resource.plural}", "creationTimestamp": timestamp(now())}
            self.store.put(DEFINITIONS, ("", document["metadata"]["name"]), document)

    def drop_watches(self) -> None:
        """Breaks the connections of all watches."""
        for connection in self._watching:
            connection.abort()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""
        path, query = request.path, request.query
        method = "WATCH" if request.method == "GET" and _true(query, "watch") else request.method
        fault = self._faults.take(method, path)
        try:
            if fault is not None and fault.status:
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                raise status.ApiError(fault.status, "", "a test asked for this failure", headers=headers)
            if fault is not None and not fault.processed:
                return _broken(request)
            if request.headers.get("Authorization") != f"Bearer {self._token}":
                raise status.ApiError(401, "Unauthorized", "Unauthorized")
            response = await self._answer(method, request, path, query)
        except status.ApiError as error:
            return web.json_response(error.to_json(), status=error.code, headers=error.headers)
        return response if fault is None else _broken(request)

    async def _answer(
        self, method: str, request: web.Request, path: str, query: Mapping[str, str]
    ) -> web.StreamResponse:
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        document = _document(path)
        if document is not None:
            if request.method != "GET":
                raise status.method_not_allowed()
            return web.json_response(document)
        match = _NAMESPACE_PATH.match(path) or _RESOURCE_PATH.match(path)
        served = _served(match) if match else None
        if match is None or served is None:
            raise _no_path(path)
        parts = match.groupdict()
        namespace, name = parts.get("namespace") or "", parts.get("name") or ""
        self._check(path, served, namespace, name, parts.get("subresource") or "", method, query)
        if method == "WATCH" and not name:
            return await self._watch(request, served, namespace, query)
        if method == "GET" and not name:
            scope = reading.Scope.of(served, namespace, query)
            return web.json_response(reading.list_objects(self.store, scope, query))
        body = await _body(request)
        return self._single(request, served, (namespace, name), parts.get("subresource") or "", body)

    def _check(
        self,
        path: str,
        served: ServedType,
        namespace: str,
        name: str,
        subresource: str,
        method: str,
        query: Mapping[str, str],
    ) -> None:
        """Refuses paths, methods and parameters that are not served."""
        resource_type = served.resource
        if bool(namespace) != resource_type.namespaced and (namespace or name):
            raise _no_path(path)
        if subresource and not (subresource == "status" and resource_type.status_subresource):
            if resource_type.plural == "pods" and subresource in _POD_SUBRESOURCES:
                raise status.not_implemented(f"pods/{subresource}")
            # A real server, too, answers as if the custom resource itself did not exist.
            raise _no_path(path) if served.schema is None else status.not_found(resource_type, name)
        allowed = {"GET", "PUT", "PATCH", "DELETE"} if name else {"GET", "WATCH", "POST"}
        if subresource:
            allowed = {"GET", "PUT", "PATCH"}
        if "create" not in served.verbs:
            allowed &= {"GET", "WATCH"}
        if method == "POST" and resource_type.namespaced and not namespace:
            raise _no_path(path) if served.schema is not None else status.method_not_allowed()
        if method not in allowed and not (method == "WATCH" and name):
            raise status.method_not_allowed()
        if query.get("dryRun"):
            raise status.not_implemented("dry runs")

    def _single(
        self, request: web.Request, served: ServedType, key: tuple[str, str], subresource: str, body: Any
    ) -> web.Response:
        if request.method == "GET":
            return web.json_response(self._objects.read(served, key))
        if request.method == "POST":
            return web.json_response(self._objects.create(served, key[0], body), status=201)
        if request.method == "PUT":
            created = self.store.get(served, key) is None
            answer = self._objects.replace(served, key, body, subresource)
            return web.json_response(answer, status=201 if created else 200)
        if request.method == "PATCH":
            return web.json_response(self._objects.patch(served, key, request.content_type, body, subresource))
        options = {**request.query, **(body if isinstance(body, dict) else {})}
        return web.json_response(self._objects.delete(served, key, options))

    async def _watch(
        self, request: web.Request, served: ServedType, namespace: str, query: Mapping[str, str]
    ) -> web.StreamResponse:
        scope = reading.Scope.of(served, namespace, query)
        watch = reading.Watch(self.store, scope, query)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        connection = request.transport
        if connection is not None:
            self._watching.add(connection)
        try:
            await response.prepare(request)
            async for event in watch.events():
                await response.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            await response.write_eof()
        finally:
            if connection is not None:
                self._watching.discard(connection)
            watch.close()
        return response


def _served(match: re.Match[str]) -> ServedType | None:
    parts = match.groupdict()
    if "plural" not in parts:
        return BY_PATH["", "v1", "namespaces"]
    return BY_PATH.get((parts["group"] or "", parts["version"], parts["plural"]))


def _document(path: str) -> Mapping[str, Any] | None:
    """Discovery."""
    steps = path.strip("/").split("/")
    match steps:
        case ["version"]:
            return discovery.VERSION
        case ["api"]:
            return discovery.CORE_VERSIONS
        case ["apis"]:
            return discovery.groups()
        case ["api", version]:
            return discovery.resources("", version)
        case ["apis", group]:
            return discovery.group(group)
        case ["apis", group, version]:
            return discovery.resources(group, version)
    return None


def _true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "false").lower() not in ("false", "0")


def _no_path(path: str) -> Exception:
    """404: built-in groups answer with a Status, everything else with a line of text."""
    match = _RESOURCE_PATH.match(path)
    groups = {served.resource.group for served in SERVED if served.schema is None}
    if match and (match["group"] or "") in groups:
        return status.ApiError(404, "NotFound", "the server could not find the requested resource")
    return web.HTTPNotFound(text="404 page not found\n")


async def _body(request: web.Request) -> Any:
    if request.content_length and request.method in ("POST", "PUT") and not request.content_type.endswith("/json"):
        raise status.unsupported_media_type(["application/json"])
    try:
        text = await request.read()
        return json.loads(text) if text else None
    except ValueError as error:
        raise status.bad_request(f"the body is not JSON: {error}") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise status.ApiError(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728") from error


def _broken(request: web.Request) -> web.StreamResponse:
    """Breaks the request's connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
