"""Exceptions as gRPC statuses, the way Velero's own plugin framework sends errors.

=========================================================  =======================================================
what an action raises                                      what Velero receives
=========================================================  =======================================================
``errors.Error`` (expected), ``OSError`` (the environment)  UNKNOWN, the exception's text
anything else: a bug                                       ABORTED, ``plugin panicked: `` and the exception's text
=========================================================  =======================================================

Each carries the place it was raised at, as ``generated.Stack`` in the status details, which Velero shows as the log
fields ``error.file`` and ``error.function``. Velero treats all codes alike. Sources: velero v1.18.1
``pkg/plugin/framework/common/server_errors.go``, ``handle_panic.go``; grpc-go ``internal/status/status.go``.
"""

from __future__ import annotations

import collections
import functools
import logging
import traceback
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2

from velero_py_plugin import errors
from velero_py_plugin._pb import rpc_status_pb2
from velero_py_plugin._pb.velero import shared_pb2

DETAILS_KEY: Final = "grpc-status-details-bin"
MAX_MESSAGE_CHARACTERS: Final = 4096
MAX_FRAMES: Final = 32
"""Innermost frames kept; message and stack travel in HTTP/2 headers, which must stay small."""

Request = TypeVar("Request")
Response = TypeVar("Response")

logger = logging.getLogger(__name__)


def status_of(error: BaseException) -> rpc_status_pb2.RpcStatus:
    """Describes an exception as a gRPC status with its stack."""
    code, text = grpc.StatusCode.UNKNOWN, str(error)
    if not is_expected(error):
        code, text = grpc.StatusCode.ABORTED, f"plugin panicked: {type(error).__name__}: {error}"
    details = any_pb2.Any()
    details.Pack(_stack_of(error))
    message = text[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()  # protobuf refuses lone surrogates
    return rpc_status_pb2.RpcStatus(code=_number(code), message=message, details=[details])


def is_expected(error: BaseException) -> bool:
    """Whether the exception reports a state of the world rather than a mistake in the plugin."""
    return isinstance(error, errors.Error | OSError)


def reports_errors(
    handler: Callable[[Request, grpc.ServicerContext], Response],
) -> Callable[[Request, grpc.ServicerContext], Response]:
    """Makes a method handler answer with a status instead of raising.

    Whatever is raised, ``SystemExit`` included: a handler that ends without an answer leaves Velero waiting for ever,
    because its calls have no deadline.
    """

    @functools.wraps(handler)
    def answering(request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return handler(request, context)
        except BaseException as error:  # noqa: BLE001 - see above
            _abort(context, error)

    return answering


def _abort(context: grpc.ServicerContext, error: BaseException) -> NoReturn:
    """Ends the call. Logs at info at most: Velero counts the error it receives, and would count the line as well."""
    if not is_expected(error):
        logger.info("an action failed unexpectedly", exc_info=error)
    status = status_of(error)
    context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
    context.abort(_CODES[status.code], status.message)


def _stack_of(error: BaseException) -> shared_pb2.Stack:
    """The frames of the first cause, innermost first."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = collections.deque(traceback.walk_tb(error.__traceback__), MAX_FRAMES)
    return shared_pb2.Stack(
        frames=[
            shared_pb2.StackFrame(file=frame.f_code.co_filename, line=line, function=frame.f_code.co_qualname)
            for frame, line in reversed(frames)
        ]
    )


def _number(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


_CODES: Final = {_number(code): code for code in grpc.StatusCode}
