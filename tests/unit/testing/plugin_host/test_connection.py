"""Errors and answers as Velero reads them, from servers that say what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2

from velero_py_plugin._pb import rpc_status_pb2
from velero_py_plugin._pb.velero import plugin_lister_pb2, shared_pb2
from velero_py_plugin._pb.velero.v2 import backup_item_action_pb2 as pb
from velero_py_plugin.plugin.goplugin.process import grpc_server
from velero_py_plugin.plugin.goplugin.service import service_handler
from velero_py_plugin.testing.plugin_host import (
    BackupItemActionClient,
    Connection,
    PluginAnswerError,
    PluginCallError,
    PluginStartError,
    StackFrame,
)

Answer = Callable[[Any, grpc.ServicerContext], Any]
Serve = Callable[[Answer], Connection]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A server whose every method answers the same way."""
    started: list[tuple[grpc.Server, Connection]] = []

    def start(answer: Answer) -> Connection:
        services = (
            plugin_lister_pb2.DESCRIPTOR.services_by_name["PluginLister"],
            pb.DESCRIPTOR.services_by_name["BackupItemAction"],
        )
        handlers = [service_handler(service, dict.fromkeys(service.methods_by_name, answer)) for service in services]
        server = grpc_server(handlers, lambda _reason: None)
        target = f"unix:{tmp_path / 's'}"
        server.add_insecure_port(target)
        server.start()
        connection = Connection(target, call_timeout=0.5)
        started.append((server, connection))
        return connection

    yield start
    for server, connection in started:
        server.stop(None).wait()
        connection.close()


def fails(code: grpc.StatusCode, text: str, *details: bytes) -> Answer:
    def answer(_request: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(tuple(("grpc-status-details-bin", detail) for detail in details))
        context.abort(code, text)

    return answer


def details(code: int, *messages: Any) -> bytes:
    status = rpc_status_pb2.RpcStatus(code=code, message="x")
    for message in messages:
        packed = any_pb2.Any()
        packed.Pack(message)
        status.details.append(packed)
    return status.SerializeToString()


def list_plugins(connection: Connection) -> PluginCallError:
    with pytest.raises(PluginCallError) as caught:
        connection.call(plugin_lister_pb2.DESCRIPTOR, "PluginLister", "ListPlugins", shared_pb2.Empty())
    return caught.value


STACK = shared_pb2.Stack(frames=[shared_pb2.StackFrame(file="a.py", line=7, function="f")])


@pytest.mark.parametrize(
    ("code", "go_name"),
    [
        (grpc.StatusCode.UNKNOWN, "Unknown"),
        (grpc.StatusCode.NOT_FOUND, "NotFound"),
        (grpc.StatusCode.CANCELLED, "Canceled"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "DeadlineExceeded"),
    ],
)
def test_the_text_is_velero_s(serve: Serve, code: grpc.StatusCode, go_name: str) -> None:
    assert str(list_plugins(serve(fails(code, "no luck")))) == f"rpc error: code = {go_name} desc = no luck"


def test_the_stack_is_found_among_other_details(serve: Serve) -> None:
    trailer = details(2, shared_pb2.Empty(), STACK)
    error = list_plugins(serve(fails(grpc.StatusCode.UNKNOWN, "x", trailer)))
    assert error.stack == (StackFrame("a.py", 7, "f"),)


def test_a_code_that_contradicts_itself_is_internal(serve: Serve) -> None:
    error = list_plugins(serve(fails(grpc.StatusCode.UNKNOWN, "x", details(10, STACK))))
    assert error.code == "Internal"


@pytest.mark.parametrize("trailer", [b"\xff\xff", b"", details(2)])
def test_details_without_a_stack(serve: Serve, trailer: bytes) -> None:
    assert list_plugins(serve(fails(grpc.StatusCode.UNKNOWN, "x", trailer))).stack == ()


def test_a_call_without_an_answer_ends(serve: Serve) -> None:
    def never(_request: Any, context: grpc.ServicerContext) -> None:
        while context.is_active():
            pass

    assert list_plugins(serve(never)).code == "DeadlineExceeded"


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velero_py_plugin.testing.plugin_host.connection.CONNECT_SECONDS", 0.2)
    with pytest.raises(PluginStartError, match="nobody answers at unix:"):
        Connection(f"unix:{tmp_path / 'nothing'}", call_timeout=1)


@pytest.mark.parametrize("item", [b"", b"null", b"[]", b"{}", b'{"kind":""}', b'{"kind":5}', b'{"kind":'])
def test_items_that_velero_refuses(serve: Serve, item: bytes) -> None:
    connection = serve(lambda _request, _context: pb.ExecuteResponse(item=item))
    with pytest.raises(PluginAnswerError, match="the returned item"):
        BackupItemActionClient(connection, "example.io/x").execute({"kind": "X"}, {})


def test_progress_without_progress_makes_velero_crash(serve: Serve) -> None:
    connection = serve(lambda _request, _context: pb.BackupItemActionProgressResponse())
    with pytest.raises(PluginAnswerError, match="makes Velero crash"):
        BackupItemActionClient(connection, "example.io/x").progress("op", {})


def test_an_answer_without_selector_means_everything(serve: Serve) -> None:
    connection = serve(lambda _request, _context: pb.BackupItemActionAppliesToResponse())
    assert BackupItemActionClient(connection, "example.io/x").applies_to().included_resources == ()
