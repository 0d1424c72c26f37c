"""The gRPC connection to a plugin, as Velero opens and uses it.

Sources: hashicorp/go-plugin v1.7.0 ``client.go``, ``grpc_client.go``; velero v1.18.3
``pkg/plugin/framework/common/client_errors.go``; grpc-go ``internal/status/status.go``.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError

from velero_py_plugin._pb import rpc_status_pb2
from velero_py_plugin._pb.goplugin import broker_pb2, controller_pb2, stdio_pb2
from velero_py_plugin._pb.velero import shared_pb2
from velero_py_plugin.plugin.goplugin.service import method_path, type_of
from velero_py_plugin.plugin.status import DETAILS_KEY
from velero_py_plugin.testing.plugin_host.errors import PluginCallError, PluginStartError, StackFrame

CONNECT_SECONDS: Final = 5.0
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
"""What Go's client accepts (grpc-go ``internal/transport/defaults.go``); Python's default is 8 KiB."""


class Connection:
    """An open connection, with the two streams that go-plugin's client opens on each.

    Args:
        target: A gRPC target such as ``unix:/tmp/plugin/socket``.
        call_timeout: Seconds to wait for an answer. Velero has no such limit and would wait for ever.

    Raises:
        PluginStartError: Nobody answers at the target.
    """

    def __init__(self, target: str, call_timeout: float) -> None:
        self.target = target
        self._call_timeout = call_timeout
        self._broker_messages: queue.SimpleQueue[broker_pb2.ConnInfo | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(
            target,
            options=(
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", MAX_HEADER_BYTES),
                ("grpc.absolute_max_metadata_size", MAX_HEADER_BYTES),
                ("grpc.default_authority", "unused"),
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),  # each host its own connection, even to one socket
            ),
        )
        try:
            grpc.channel_ready_future(self._channel).result(CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise PluginStartError(f"nobody answers at {target}, where the plugin said it listens") from None
        self._threads = [
            threading.Thread(target=_follow, args=(stream,), name="plugin-host-stream", daemon=True)
            for stream in (
                self._stream(stdio_pb2.DESCRIPTOR, "GRPCStdio", empty_pb2.Empty()),
                self._stream(broker_pb2.DESCRIPTOR, "GRPCBroker", iter(self._broker_messages.get, None)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def call(self, file: FileDescriptor, service: str, method: str, request: Any) -> Any:
        """Calls a method and waits for the answer.

        Args:
            file: The file that declares the service.
            service: The service's name in that file.
            method: The method's name.
            request: The request message.

        Raises:
            PluginCallError: The plugin answered with an error, or the connection broke.
        """
        descriptor = file.services_by_name[service].methods_by_name[method]
        try:
            return self._method(descriptor)(request, timeout=self._call_timeout)
        except grpc.RpcError as error:
            raise _call_error(error) from error

    def ask_to_shut_down(self) -> None:
        """Calls ``Shutdown`` without waiting for the answer, which Velero ignores."""
        self._broker_messages.put(None)
        service = controller_pb2.DESCRIPTOR.services_by_name["GRPCController"]
        # Kept: grpcio cancels a call that nobody holds any more.
        self._shutdown = self._method(service.methods_by_name["Shutdown"]).future(controller_pb2.Empty())

    def close(self) -> None:
        """Closes the connection."""
        self._broker_messages.put(None)
        self._channel.close()
        for thread in self._threads:
            thread.join()

    def _method(self, method: MethodDescriptor) -> grpc.UnaryUnaryMultiCallable[Any, Any]:
        return self._channel.unary_unary(method_path(method), **_codecs(method))

    def _stream(self, file: FileDescriptor, service: str, request: Any) -> Iterator[Any]:
        method = file.services_by_name[service].methods[0]
        make = self._channel.stream_stream if method.client_streaming else self._channel.unary_stream
        return make(method_path(method), **_codecs(method))(request)


def _codecs(method: MethodDescriptor) -> dict[str, Any]:
    return {
        "request_serializer": type_of(method.input_type).SerializeToString,
        "response_deserializer": type_of(method.output_type).FromString,
    }


def _follow(stream: Iterator[Any]) -> None:
    with contextlib.suppress(grpc.RpcError):  # both services may be absent, and both end with the connection
        for _ in stream:
            pass


def _call_error(error: grpc.RpcError) -> PluginCallError:
    """Reads a failed call the way grpc-go and Velero do."""
    code = error.code()
    name = _go_name(code)
    stack: tuple[StackFrame, ...] = ()
    trailers: Any = error.trailing_metadata() or ()  # the stubs give the pairs a type that cannot be iterated
    for key, value in trailers:
        if key != DETAILS_KEY:
            continue
        with contextlib.suppress(DecodeError):
            status = rpc_status_pb2.RpcStatus.FromString(value)
            if status.code != code.value[0]:  # grpc-go trusts neither
                name = _go_name(grpc.StatusCode.INTERNAL)
            stack = _stack(status)
    return PluginCallError(name, error.details() or "", stack)


def _stack(status: rpc_status_pb2.RpcStatus) -> tuple[StackFrame, ...]:
    message = shared_pb2.Stack()
    for detail in status.details:
        if detail.Unpack(message):
            return tuple(StackFrame(frame.file, frame.line, frame.function) for frame in message.frames)
    return ()


def _go_name(code: grpc.StatusCode) -> str:
    """``NOT_FOUND`` is ``NotFound`` in Go; it has one l in ``Canceled``."""
    return "Canceled" if code is grpc.StatusCode.CANCELLED else code.name.title().replace("_", "")
