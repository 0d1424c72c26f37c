"""The controller service: the host says when the process is to end."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from velero_py_plugin._pb.goplugin import controller_pb2
from velero_py_plugin.plugin.goplugin.service import service_handler


def controller_handler(stop: Callable[[str], None]) -> grpc.GenericRpcHandler:
    """Makes ``plugin.GRPCController``.

    Args:
        stop: Called with the reason when the host wants the process to end; returns at once. The host kills what is
            left of the process two seconds later.
    """

    def shutdown(_request: controller_pb2.Empty, _context: grpc.ServicerContext) -> controller_pb2.Empty:
        stop("the host called Shutdown")
        return controller_pb2.Empty()

    return service_handler(controller_pb2.DESCRIPTOR.services_by_name["GRPCController"], {"Shutdown": shutdown})
