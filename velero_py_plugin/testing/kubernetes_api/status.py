"""Failures as the API server words them: ``Status`` objects.

Source: kubernetes v1.34.2 ``apimachinery/pkg/api/errors/errors.go``, compared with a real server by the contract suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from velero_py_plugin.api.resource import ResourceType


class ApiError(Exception):
    """A request the API server refuses.

    Attributes:
        code: HTTP code.
        reason: ``reason`` of the Status object.
        message: ``message`` of the Status object.
        details: ``details`` of the Status object.
        headers: HTTP headers of the answer.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.headers = headers or {}

    def to_json(self) -> dict[str, Any]:
        """The Status object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = dict(self.details)
        return status


def _details(resource: ResourceType, name: str) -> dict[str, Any]:
    details = {"name": name, "kind": resource.plural}
    return {**details, "group": resource.group} if resource.group else details


def not_found(resource: ResourceType, name: str) -> ApiError:
    """404: no object of that name."""
    return ApiError(404, "NotFound", f'{resource.group_resource} "{name}" not found', details=_details(resource, name))


def already_exists(resource: ResourceType, name: str) -> ApiError:
    """409: the name is taken."""
    message = f'{resource.group_resource} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(resource, name))


def conflict(resource: ResourceType, name: str, cause: str = "") -> ApiError:
    """409: another resourceVersion or uid than the caller expects."""
    cause = cause or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {cause}'
    return ApiError(409, "Conflict", message, details=_details(resource, name))


def precondition_failed(resource: ResourceType, name: str, field: str, wanted: str, found: str) -> ApiError:
    """409: a deletion was asked for another object than the stored one."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = (
        f'Operation cannot be fulfilled on {kind} "{name}": the {field} in the precondition ({wanted}) '
        f"does not match the {field} in record ({found})"
    )
    return ApiError(409, "Conflict", message, details=_details(resource, name))


def forbidden(resource: ResourceType, name: str, cause: str) -> ApiError:
    """403: not allowed."""
    message = f'{resource.group_resource} "{name}" is forbidden: {cause}'
    return ApiError(403, "Forbidden", message, details=_details(resource, name))


def invalid(resource: ResourceType, name: str, causes: Sequence[str]) -> ApiError:
    """422: the object breaks rules of its type; each cause is ``field: problem``."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    text = causes[0] if len(causes) == 1 else f"[{', '.join(causes)}]"
    details = {
        **_details(resource, name),
        "kind": resource.kind,
        "causes": [{"field": cause.split(":", 1)[0], "message": cause.split(": ", 1)[-1]} for cause in causes],
    }
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details=details)


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    """410: the resourceVersion lies before the history kept."""
    return ApiError(410, "Expired", message)


def too_large_version(wanted: int, current: int) -> ApiError:
    """504: the resourceVersion lies in the future."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return ApiError(504, "Timeout", message, details=details)


def method_not_allowed() -> ApiError:
    """405: the resource exists, the method does not."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: the body's type is not one of those accepted."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def not_implemented(what: str) -> ApiError:
    """501: a real API server does it, this one does not."""
    return ApiError(501, "NotImplemented", f"the embedded Kubernetes API does not implement {what}")
