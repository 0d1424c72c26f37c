"""The stdio service. Its stream ends at once: hosts read a plugin's output from its pipes, and Velero discards this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc

from velero_py_plugin._pb.goplugin import stdio_pb2
from velero_py_plugin.plugin.goplugin.service import service_handler


def _stream_stdio(_request: Any, _context: grpc.ServicerContext) -> Iterator[stdio_pb2.StdioData]:
    return iter(())


def stdio_handler() -> grpc.GenericRpcHandler:
    """Makes ``plugin.GRPCStdio``."""
    return service_handler(stdio_pb2.DESCRIPTOR.services_by_name["GRPCStdio"], {"StreamStdio": _stream_stdio})
