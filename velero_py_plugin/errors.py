"""The root of every error this project raises on purpose.

The tree::

    Error (never raised itself)
    ├─ TemporaryError   the same call may succeed later; says after how many seconds to try again
    └─ PermanentError   trying again changes nothing until a person changes something

Packages declare their own errors below one of the two leaves, beside the code that raises them. An error's text is one
sentence a person can act on; its ``reason`` is a stable code for conditions, events and metrics.
"""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        reason: Stable CamelCase code, usable as a Kubernetes condition reason.
    """

    reason: ClassVar[str] = "Error"


class TemporaryError(Error):
    """The operation may succeed when it is tried again.

    Args:
        message: What happened and what a person can do about it.
        retry_after: Seconds to wait before the next try.
    """

    reason: ClassVar[str] = "Temporary"

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(Error):
    """Trying again is useless until something outside this process changes."""

    reason: ClassVar[str] = "Permanent"


class UsageError(PermanentError):
    """An argument or setting given by a person is wrong."""

    reason: ClassVar[str] = "InvalidArgument"
