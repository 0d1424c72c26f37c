"""What can go wrong between this process and a Kubernetes API server.

Every answer of the server that is not a success becomes one of these; the text is the server's own message. Which
class stands for which ``reason`` and code: kubernetes v1.34.2 ``apimachinery/pkg/api/errors/errors.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from velero_py_plugin import errors

_CONFLICT_DELAY = 1.0


class KubeConfigError(errors.PermanentError):
    """There is no usable description of the API server: no kubeconfig, no Pod environment, or an unusable one."""

    reason: ClassVar[str] = "KubeConfigInvalid"


class NotFoundError(errors.PermanentError):
    """The object does not exist."""

    reason: ClassVar[str] = "NotFound"


class TypeNotServedError(NotFoundError):
    """The server does not know the resource type; most often a CustomResourceDefinition is missing."""

    reason: ClassVar[str] = "ResourceTypeNotServed"


class AlreadyExistsError(errors.PermanentError):
    """An object of that name exists."""

    reason: ClassVar[str] = "AlreadyExists"


class ConflictError(errors.TemporaryError):
    """The object was changed by somebody else, or is not the object whose uid was given: read it again."""

    reason: ClassVar[str] = "Conflict"

    def __init__(self, message: str, *, retry_after: float = _CONFLICT_DELAY) -> None:
        super().__init__(message, retry_after=retry_after)


class InvalidObjectError(errors.PermanentError):
    """The server refuses the request as malformed or not allowed by the type's schema."""

    reason: ClassVar[str] = "InvalidObject"


class ForbiddenError(errors.PermanentError):
    """The identity of this process lacks a permission."""

    reason: ClassVar[str] = "Forbidden"


class UnauthorizedError(errors.PermanentError):
    """The server does not accept the credentials of this process."""

    reason: ClassVar[str] = "Unauthorized"


class GoneError(errors.TemporaryError):
    """The requested resourceVersion or list continuation is no longer known: list again from the start."""

    reason: ClassVar[str] = "ResourceExpired"

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after=retry_after)


class ApiUnavailableError(errors.TemporaryError):
    """The server could not be reached, is overloaded, or failed, and kept doing so while it was tried again."""

    reason: ClassVar[str] = "ApiUnavailable"


def from_status(code: int, status: Mapping[str, Any], *, server: str) -> errors.Error:
    """Chooses the error for a failure answer.

    Args:
        code: HTTP code of the answer, or of the ``Status`` object inside a watch.
        status: The ``Status`` object; empty where the server sent something else.
        server: URL of the API server, named where the fault is the server's or the connection's.

    Returns:
        The error, not raised.
    """
    reason = status.get("reason", "")
    message = str(status.get("message") or f"the API server answered with code {code} and no message")
    if code == 401:
        return UnauthorizedError(f"The API server {server} does not accept the credentials: {message}")
    if code == 403:
        return ForbiddenError(message)
    if code == 404:
        return NotFoundError(message)
    if code == 409:
        return AlreadyExistsError(message) if reason == "AlreadyExists" else ConflictError(message)
    if code == 410 or reason == "Expired":
        return GoneError(message)
    if code in (408, 429) or code >= 500:
        return ApiUnavailableError(f"The API server {server} cannot serve the request now: {message}")
    return InvalidObjectError(message)
