"""The life of a plugin process: from the first accepted connection to the end of it.

Ends when the host calls ``Shutdown``, when it sends SIGTERM, and when it dies. Calls that still run by then are
abandoned: the host counts two seconds and then kills (hashicorp/go-plugin v1.6.0 ``client.go`` ``Kill``).
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, Final

import grpc

from velero_py_plugin.plugin.goplugin.broker import broker_handler
from velero_py_plugin.plugin.goplugin.controller import controller_handler
from velero_py_plugin.plugin.goplugin.handshake import handshake_line
from velero_py_plugin.plugin.goplugin.health import health_handler
from velero_py_plugin.plugin.goplugin.listener import socket_path
from velero_py_plugin.plugin.goplugin.stdio import stdio_handler

MAX_CONCURRENT_CALLS: Final = 1000
"""Far more than any host makes, so that ``Shutdown`` never waits for a free thread; threads are made on demand."""
STOP_GRACE_SECONDS: Final = 0.3
"""How long the answer to ``Shutdown``, and calls about to end, may take after the end has been decided."""
PARENT_POLL_SECONDS: Final = 1.0

StopQueue = queue.SimpleQueue[str]
"""Reasons to stop. A queue whose ``put`` may interrupt itself, as it does when a signal arrives."""


def grpc_server(handlers: Sequence[grpc.GenericRpcHandler], stop: Callable[[str], None]) -> grpc.Server:
    """Makes a server with the application's services and those every go-plugin host wants to find.

    Messages may be of any size in both directions: one call carries whole Kubernetes objects, several times.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(MAX_CONCURRENT_CALLS, thread_name_prefix="call"),
        options=(("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)),
    )
    infrastructure = (health_handler(), stdio_handler(), broker_handler(), controller_handler(stop))
    server.add_generic_rpc_handlers((*infrastructure, *handlers))
    return server


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Treats SIGTERM as ``Shutdown`` and ignores SIGINT, which a terminal sends to a host and its plugins alike."""

    def terminate(_number: int, _frame: Any) -> None:
        stop("SIGTERM")

    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate)}
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run(
    handlers: Sequence[grpc.GenericRpcHandler],
    *,
    protocol_version: int,
    announce: Callable[[bytes], None],
    stop: StopQueue,
    parent: int,
) -> str:
    """Serves until something asks to stop.

    Args:
        handlers: The application's services.
        protocol_version: Version of the application's own protocol.
        announce: Given the handshake line, once connections are accepted; brings it to the host.
        stop: Where a reason to stop may come from at any time.
        parent: Process id of the host; the end of that process is a reason to stop.

    Returns:
        The reason.

    Raises:
        SocketPathTooLongError: See ``listener.socket_path``.
        OSError: The socket cannot be made, or the host is gone before the handshake.
        RuntimeError: gRPC cannot listen on the socket.
    """
    server = grpc_server(handlers, stop.put)
    with socket_path() as path:
        server.add_insecure_port(f"unix:{path}")
        server.start()
        announce(handshake_line(protocol_version, path))
        reason = _wait(stop, parent)
        server.stop(STOP_GRACE_SECONDS).wait()
    return reason


def _wait(stop: StopQueue, parent: int) -> str:
    """Nobody tells a plugin that its host has died, and prctl's signal follows a thread: so the parent is polled."""
    while True:
        try:
            return stop.get(timeout=PARENT_POLL_SECONDS)
        except queue.Empty:
            if os.getppid() != parent:
                return "the host process is gone"
