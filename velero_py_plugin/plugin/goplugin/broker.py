"""The broker service. Its stream ends at once: no side connections are offered, and Velero asks for none."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from velero_py_plugin._pb.goplugin import broker_pb2
from velero_py_plugin.plugin.goplugin.service import service_handler


def _start_stream(
    _requests: Iterator[broker_pb2.ConnInfo], _context: grpc.ServicerContext
) -> Iterator[broker_pb2.ConnInfo]:
    return iter(())


def broker_handler() -> grpc.GenericRpcHandler:
    """Makes ``plugin.GRPCBroker``."""
    return service_handler(broker_pb2.DESCRIPTOR.services_by_name["GRPCBroker"], {"StartStream": _start_stream})
