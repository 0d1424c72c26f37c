"""Asynchronous item operations, as Velero's server keeps and polls them.

Source: vmware-tanzu/velero v1.18.1 ``pkg/itemoperation``, ``pkg/controller/backup_operations_controller.go``,
``pkg/controller/restore_operations_controller.go``.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

from velero_py_plugin.errors import Error
from velero_py_plugin.plugin.kinds import OperationProgress, ResourceIdentifier

TIMEOUT_MESSAGE: Final = "Asynchronous action timed out"


class OperationAction(Protocol):
    """The calls an action gets about its operations."""

    def progress(self, operation_id: str, owner: dict[str, Any], /) -> OperationProgress:
        """Says how far an operation is."""

    def cancel(self, operation_id: str, owner: dict[str, Any], /) -> None:
        """Asks an operation to stop."""


@dataclasses.dataclass
class Operation:
    """One asynchronous operation of a backup or restore.

    Attributes:
        action: Name of the action that started it.
        item: The object it was started for.
        operation_id: The action's name for it.
        post_operation_items: Objects to collect again when all operations of a backup have ended.
        phase: Where it stands.
        error: Why it failed.
        created: Seconds on the monotonic clock when it was started.
    """

    action: str
    item: ResourceIdentifier
    operation_id: str
    post_operation_items: tuple[ResourceIdentifier, ...] = ()
    phase: Literal["New", "InProgress", "Completed", "Failed"] = "New"
    error: str = ""
    created: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether it still has to be looked at."""
        return self.phase in ("New", "InProgress")

    def look(self, action: OperationAction, owner: Mapping[str, Any], timeout: float) -> OperationProgress | None:
        """Asks once for the operation's progress and draws Velero's conclusions.

        An error of the call fails the operation for good. An operation that takes too long is asked to stop, and
        counts as failed without waiting for that.

        Args:
            action: The action that started it.
            owner: The Backup or Restore.
            timeout: Seconds an operation may take.

        Returns:
            What the action answered; None when it failed to.
        """
        try:
            progress = action.progress(self.operation_id, dict(owner))
        except Error as error:
            self._fail(str(error))
            return None
        if progress.completed and progress.error:
            self._fail(progress.error)
        elif progress.completed:
            self.phase = "Completed"
        elif time.monotonic() - self.created > timeout:
            try:
                action.cancel(self.operation_id, dict(owner))
            except Error as error:
                self._fail(f"{TIMEOUT_MESSAGE}; cancel failed as well: {error}")
            else:
                self._fail(TIMEOUT_MESSAGE)
        elif progress.started is not None:
            self.phase = "InProgress"
        return progress

    def _fail(self, error: str) -> None:
        self.phase = "Failed"
        self.error = error
