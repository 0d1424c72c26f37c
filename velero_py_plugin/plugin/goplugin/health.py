"""The health service: a plugin that answers at all is well."""

from __future__ import annotations

from typing import Final

import grpc

from velero_py_plugin._pb.goplugin import health_pb2
from velero_py_plugin.plugin.goplugin.service import service_handler

SERVICES: Final = ("plugin", "")
"""What a host may ask about: go-plugin's ``Ping`` says ``plugin``, general tools say nothing."""


def _check(request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> health_pb2.HealthCheckResponse:
    if request.service not in SERVICES:
        context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
    return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


def health_handler() -> grpc.GenericRpcHandler:
    """Makes ``grpc.health.v1.Health``."""
    return service_handler(health_pb2.DESCRIPTOR.services_by_name["Health"], {"Check": _check})
