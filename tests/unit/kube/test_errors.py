from __future__ import annotations

import pytest

from velero_py_plugin import errors as root_errors
from velero_py_plugin.kube import errors


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.InvalidObjectError),
        (401, "Unauthorized", errors.UnauthorizedError),
        (403, "Forbidden", errors.ForbiddenError),
        (404, "NotFound", errors.NotFoundError),
        (405, "MethodNotAllowed", errors.InvalidObjectError),
        (408, "Timeout", errors.ApiUnavailableError),
        (409, "AlreadyExists", errors.AlreadyExistsError),
        (409, "Conflict", errors.ConflictError),
        (410, "Expired", errors.GoneError),
        (410, "Gone", errors.GoneError),
        (415, "UnsupportedMediaType", errors.InvalidObjectError),
        (422, "Invalid", errors.InvalidObjectError),
        (429, "TooManyRequests", errors.ApiUnavailableError),
        (500, "InternalError", errors.ApiUnavailableError),
        (500, "Expired", errors.GoneError),
        (504, "Timeout", errors.ApiUnavailableError),
    ],
)
def test_status_becomes_an_error(code: int, reason: str, kind: type[root_errors.Error]) -> None:
    error = errors.from_status(code, {"reason": reason, "message": "the server's words"}, server="https://k")
    assert type(error) is kind
    assert "the server's words" in str(error)
    assert error.reason == kind.reason


def test_answer_without_a_message_names_the_code() -> None:
    error = errors.from_status(503, {}, server="https://k")
    assert "https://k" in str(error)
    assert "503" in str(error)


def test_reasons_are_distinct() -> None:
    members = vars(errors).values()
    kinds = [kind for kind in members if isinstance(kind, type) and issubclass(kind, root_errors.Error)]
    assert len({kind.reason for kind in kinds}) == len(kinds) > 8
