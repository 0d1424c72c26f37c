"""gRPC services made from their protobuf descriptors.

Takes the place of generated ``_pb2_grpc`` modules, which refuse every grpcio older than the one that generated them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

type_of = message_factory.GetMessageClass


def service_handler(
    service: ServiceDescriptor, implementations: Mapping[str, Callable[[Any, grpc.ServicerContext], Any]]
) -> grpc.GenericRpcHandler:
    """Makes a service a gRPC server can add.

    Args:
        service: Which service, with its methods, their message types and whether they stream.
        implementations: What answers each method, by the method's name: called with the request (an iterator of them
            where the client streams) and the call's context, returns the answer (an iterator where the server streams).

    Raises:
        KeyError: A method of the service has no implementation.
    """
    handlers = {method.name: _method_handler(method, implementations[method.name]) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _method_handler(
    method: MethodDescriptor, implementation: Callable[[Any, grpc.ServicerContext], Any]
) -> grpc.RpcMethodHandler[Any, Any]:
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    return make(
        implementation,
        request_deserializer=type_of(method.input_type).FromString,
        response_serializer=type_of(method.output_type).SerializeToString,
    )


def method_path(method: MethodDescriptor) -> str:
    """The path under which a method is called, such as ``/plugin.GRPCController/Shutdown``."""
    return f"/{method.containing_service.full_name}/{method.name}"
