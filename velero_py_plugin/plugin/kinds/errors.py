"""What actions raise in answer to a question about an operation.

::

    errors.PermanentError
    ├─ InvalidOperationIDError
    └─ AsyncOperationsNotSupportedError

The texts are the ones Velero's own actions use (velero v1.18.1 ``pkg/plugin/velero/backupitemaction/v2``); Velero gives
neither a special meaning: each fails the operation.
"""

from __future__ import annotations

from typing import ClassVar

from velero_py_plugin import errors


class InvalidOperationIDError(errors.PermanentError):
    """The action never started an operation of this name.

    Args:
        operation_id: The id Velero asked about.
    """

    reason: ClassVar[str] = "InvalidOperationID"

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"operation ID {operation_id} is invalid")
        self.operation_id = operation_id


class AsyncOperationsNotSupportedError(errors.PermanentError):
    """The action does all its work in ``execute`` and has no operations to ask about."""

    reason: ClassVar[str] = "AsyncOperationsNotSupported"

    def __init__(self) -> None:
        super().__init__("Plugin does not support asynchronous operations")
