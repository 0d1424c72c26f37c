from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from velero_py_plugin._pb.goplugin import controller_pb2, health_pb2
from velero_py_plugin._pb.velero import plugin_lister_pb2, shared_pb2
from velero_py_plugin.plugin.goplugin.process import StopQueue, run, stop_on_signals
from velero_py_plugin.plugin.goplugin.service import service_handler
from velero_py_plugin.testing.plugin_host import Connection, PluginCallError

LISTER = plugin_lister_pb2.DESCRIPTOR.services_by_name["PluginLister"]


class Served:
    """How a ``run`` in this thread ended, and how the host in another thread fared."""

    def __init__(self, reason: str, error: BaseException | None) -> None:
        self.reason = reason
        self.error = error


def serve_and(host: Callable[[Connection, StopQueue], None], *handlers: grpc.GenericRpcHandler) -> Served:
    """Serves in this thread while ``host`` plays the host in another one."""
    announced: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stop = StopQueue()
    errors: list[BaseException] = []

    def play() -> None:
        path = announced.get(timeout=10).split(b"|")[3].decode()
        connection = Connection(f"unix:{path}", call_timeout=10)
        try:
            host(connection, stop)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)
        finally:
            stop.put("the test is over")
            done.wait(10)
            connection.close()

    done = threading.Event()
    thread = threading.Thread(target=play)
    thread.start()
    reason = run(handlers, protocol_version=2, announce=announced.put, stop=stop, parent=os.getppid())
    done.set()
    thread.join()
    return Served(reason, errors[0] if errors else None)


def shut_down(connection: Connection, _stop: StopQueue) -> None:
    connection.call(controller_pb2.DESCRIPTOR, "GRPCController", "Shutdown", controller_pb2.Empty())


@pytest.fixture(autouse=True)
def socket_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLUGIN_UNIX_SOCKET_DIR", str(tmp_path))
    return tmp_path


def test_shutdown_is_answered_and_ends_it(socket_directory: Path) -> None:
    served = serve_and(shut_down)
    assert (served.reason, served.error) == ("the host called Shutdown", None)
    assert list(socket_directory.iterdir()) == []


def test_health() -> None:
    def ask(connection: Connection, _stop: StopQueue) -> None:
        for service in ("plugin", ""):
            request = health_pb2.HealthCheckRequest(service=service)
            answer = connection.call(health_pb2.DESCRIPTOR, "Health", "Check", request)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(PluginCallError, match="code = NotFound"):
            connection.call(health_pb2.DESCRIPTOR, "Health", "Check", health_pb2.HealthCheckRequest(service="other"))

    assert serve_and(ask).error is None


def test_shutdown_passes_by_blocked_calls() -> None:
    blocked = threading.Semaphore(0)
    release = threading.Event()

    def block(_request: Any, _context: grpc.ServicerContext) -> plugin_lister_pb2.ListPluginsResponse:
        blocked.release()
        release.wait()
        return plugin_lister_pb2.ListPluginsResponse()

    def host(connection: Connection, stop: StopQueue) -> None:
        def call() -> None:
            with pytest.raises(PluginCallError):
                connection.call(plugin_lister_pb2.DESCRIPTOR, "PluginLister", "ListPlugins", shared_pb2.Empty())

        callers = [threading.Thread(target=call) for _ in range(20)]
        for caller in callers:
            caller.start()
        for _ in callers:
            assert blocked.acquire(timeout=10)
        shut_down(connection, stop)
        for caller in callers:
            caller.join(10)

    served = serve_and(host, service_handler(LISTER, {"ListPlugins": block}))
    release.set()
    assert (served.reason, served.error) == ("the host called Shutdown", None)


def test_the_end_of_the_host_ends_it() -> None:
    reason = run((), protocol_version=2, announce=lambda _line: None, stop=StopQueue(), parent=os.getpid())
    assert reason == "the host process is gone"


def test_sigterm_stops_and_sigint_does_not() -> None:
    stop = StopQueue()
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_on_signals(stop.put):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.get(timeout=5) == "SIGTERM"
        assert stop.empty()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_host_that_is_gone_before_the_handshake(socket_directory: Path) -> None:
    def broken(_line: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run((), protocol_version=2, announce=broken, stop=StopQueue(), parent=os.getppid())
    assert list(socket_directory.iterdir()) == []


def test_a_service_must_answer_all_its_methods() -> None:
    with pytest.raises(KeyError, match="ListPlugins"):
        service_handler(LISTER, {})
