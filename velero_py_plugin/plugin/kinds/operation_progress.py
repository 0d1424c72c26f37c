"""How far an asynchronous operation is."""

from __future__ import annotations

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class OperationProgress:
    """What an action knows about an operation it started earlier.

    Report a passing problem (an unreachable API server, say) as not completed, with a description: an exception ends
    the operation for good (velero v1.18.1 ``pkg/controller/backup_operations_controller.go``).

    Attributes:
        completed: Whether nothing will change any more.
        error: Why the operation failed; empty while it runs and when it succeeded. Looked at once ``completed``.
        n_completed: Work done so far, in ``operation_units``.
        n_total: Work altogether, in ``operation_units``; equal to ``n_completed`` after success.
        operation_units: What is counted, such as ``Bytes``.
        description: One phrase for people about the present state.
        started: When the work began; None while it waits. A value without a time zone counts as UTC.
        updated: When these figures were taken; None when nobody knows. A value without a time zone counts as UTC.
    """

    completed: bool = False
    error: str = ""
    n_completed: int = 0
    n_total: int = 0
    operation_units: str = ""
    description: str = ""
    started: datetime.datetime | None = None
    updated: datetime.datetime | None = None
