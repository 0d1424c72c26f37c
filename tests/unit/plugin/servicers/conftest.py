"""Actions behind a real gRPC server in this process, called as Velero calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from velero_py_plugin.plugin.goplugin.process import grpc_server
from velero_py_plugin.plugin.registry import Registry
from velero_py_plugin.plugin.servicers.backup_item_action_v2 import backup_item_action_v2_handler
from velero_py_plugin.plugin.servicers.plugin_lister import plugin_lister_handler
from velero_py_plugin.plugin.servicers.restore_item_action_v2 import restore_item_action_v2_handler
from velero_py_plugin.testing.plugin_host import Connection

Serve = Callable[[Mapping[str, Callable[[], Any]]], Connection]


@pytest.fixture
def serve_actions(tmp_path: Path) -> Iterator[Serve]:
    """Serves actions: ``serve_actions({"example.io/x": Action})`` gives the connection to them."""
    started: list[tuple[grpc.Server, Connection]] = []

    def serve(actions: Mapping[str, Callable[[], Any]]) -> Connection:
        registry = Registry(actions)
        server = grpc_server(
            (
                plugin_lister_handler(registry, "/plugins/x"),
                backup_item_action_v2_handler(registry),
                restore_item_action_v2_handler(registry),
            ),
            lambda _reason: None,
        )
        target = f"unix:{tmp_path / 's'}"
        server.add_insecure_port(target)
        server.start()
        connection = Connection(target, call_timeout=20)
        started.append((server, connection))
        return connection

    yield serve
    for server, connection in started:
        server.stop(None).wait()  # first: grpcio takes 0.2 s to close a channel whose other end is still there
        connection.close()
