"""The embedded API server: HTTP around the objects, in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import json
import os
import re
import secrets
import threading
from collections.abc import Callable
from typing import Final, Self

from aiohttp import web

from velero_py_plugin.kube.config import KubeConfig
from velero_py_plugin.testing.kubernetes_api.faults import Fault, Faults
from velero_py_plugin.testing.kubernetes_api.handler import Handler
from velero_py_plugin.testing.kubernetes_api.store import Store

_START_SECONDS: Final = 10.0
_BODY_LIMIT: Final = 3 * 1024 * 1024


class KubernetesApi:
    """A Kubernetes API server for tests and demonstrations, on 127.0.0.1, in this process.

    It answers as kube-apiserver v1.34 does for the types of :data:`velero_py_plugin.api.resource.ALL` (one contract
    suite holds both to it), and plays the garbage collector and the namespace controller, without which deletion does
    not work. There is no other controller, no scheduler and no kubelet: nobody binds claims, starts pods, or removes a
    pod that was deleted while a node ran it. Of the admission plug-ins there are NamespaceLifecycle and
    DefaultStorageClass; the others would add finalizers or volumes that only missing controllers take away.

    Left out silently: ``metadata.managedFields``, field validation on request, and for built-in types unknown fields
    (kept here, dropped there) and rules that movers do not meet. Everything else that is missing is refused with 404,
    405, 415 or 501.

    Args:
        history: How many changes are remembered for watches and for the later pages of a list.
    """

    def __init__(self, *, history: int = 10_000) -> None:
        self.token = secrets.token_urlsafe(24)
        self._faults = Faults()
        self._history = history
        self._thread = threading.Thread(target=self._run, name="kubernetes-api", daemon=True)
        self._running: concurrent.futures.Future[_Running] = concurrent.futures.Future()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        self._thread.start()
        self._running.result(_START_SECONDS)

    def close(self) -> None:
        """Stops the server; open connections break."""
        running = self._running.result(0)
        running.loop.call_soon_threadsafe(running.stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self._running.result(0).port}"

    def kube_config(self, namespace: str = "default") -> KubeConfig:
        """What a client needs to talk to this server."""
        return KubeConfig(server=self.url, token=self.token, namespace=namespace)

    def write_kubeconfig(self, path: str | os.PathLike[str], namespace: str = "default") -> None:
        """Writes a kubeconfig file (JSON, which is YAML) that only this user can read."""
        name = "embedded"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": self.token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            "current-context": name,
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)

    def fail_next(
        self, method: str, path_regex: str, code: int, count: int = 1, *, retry_after: int | None = None
    ) -> None:
        """Refuses the next matching requests.

        Args:
            method: HTTP method, or ``WATCH``.
            path_regex: Pattern searched in the path.
            code: HTTP code of the answers.
            count: How many requests are refused.
            retry_after: Seconds in the answers' ``Retry-After`` header.
        """
        self._faults.add(Fault(method, re.compile(path_regex), count, code, retry_after))

    def drop_next(self, method: str, path_regex: str, count: int = 1, *, processed: bool = False) -> None:
        """Breaks the connection of the next matching requests.

        Args:
            method: HTTP method, or ``WATCH``.
            path_regex: Pattern searched in the path.
            count: How many requests are hit.
            processed: Whether the request is carried out before, so that only its answer is lost.
        """
        self._faults.add(Fault(method, re.compile(path_regex), count, processed=processed))

    def drop_watches(self) -> None:
        """Breaks the connections of all watches."""
        self._in_loop(lambda handler: handler.drop_watches())

    def forget_history(self) -> None:
        """Makes every resourceVersion before the present one too old, as a compaction of etcd does."""
        self._in_loop(lambda handler: handler.store.forget_history())

    def _in_loop(self, action: Callable[[Handler], None]) -> None:
        running = self._running.result(0)
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def run() -> None:
            action(running.handler)
            done.set_result(None)

        running.loop.call_soon_threadsafe(run)
        done.result(_START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._running.done():
                raise
            self._running.set_exception(error)

    async def _serve(self) -> None:
        handler = Handler(self.token, self._faults, Store(self._history))
        stop = asyncio.Event()
        application = web.Application(client_max_size=_BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", handler.handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            self._running.set_result(_Running(asyncio.get_running_loop(), stop, handler, port))
            await stop.wait()
            handler.drop_watches()
        finally:
            await runner.cleanup()


@dataclasses.dataclass(frozen=True)
class _Running:
    """What exists while the server runs."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    handler: Handler
    port: int
