"""The backup item action, version 2: what an action does with each object Velero is about to back up."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

from velero_py_plugin.plugin.kinds.errors import AsyncOperationsNotSupportedError
from velero_py_plugin.plugin.kinds.operation_progress import OperationProgress
from velero_py_plugin.plugin.kinds.resource_identifier import ResourceIdentifier
from velero_py_plugin.plugin.kinds.resource_selector import ResourceSelector


@dataclasses.dataclass(frozen=True)
class BackupItemActionRequest:
    """One object on its way into a backup.

    Attributes:
        item: The live object as earlier actions left it, status and metadata included.
        backup: The Velero Backup. ``status.phase`` is ``InProgress``, or ``Finalizing`` or
            ``FinalizingPartiallyFailed`` when this is the second look at a post-operation item; in those two phases no
            operation may be started. ``apiVersion`` and ``kind`` may be absent.
    """

    item: dict[str, Any]
    backup: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class BackupItemActionResult:
    """What becomes of the object.

    Attributes:
        item: The object to store instead, with its ``kind``; None stores exactly the bytes that came in.
        additional_items: Objects to back up before this one's next action.
        operation_id: Names the work that goes on after this call; empty when there is none.
        post_operation_items: Objects to read and back up again once all operations of the backup have ended; looked at
            only when ``operation_id`` is set.
    """

    item: dict[str, Any] | None = None
    additional_items: Sequence[ResourceIdentifier] = ()
    operation_id: str = ""
    post_operation_items: Sequence[ResourceIdentifier] = ()


class BackupItemActionV2(abc.ABC):
    """Base of actions that run for each selected object of a backup (Velero >= 1.11).

    One instance serves the whole process and its methods are called from several threads at once. A process lives for
    one backup or one poll: what an operation needs to be found again must lie outside it.
    """

    @abc.abstractmethod
    def applies_to(self) -> ResourceSelector:
        """Says which objects ``execute`` is to see. Called first in every backup: constant, quick, without I/O."""

    @abc.abstractmethod
    def execute(self, request: BackupItemActionRequest) -> BackupItemActionResult:
        """Looks at one object, and may change it, add others, or start an operation.

        Raises:
            errors.Error: The object is not backed up, the text is shown as the backup's error.
        """

    def progress(self, operation_id: str, backup: dict[str, Any]) -> OperationProgress:  # noqa: ARG002 - for subclasses
        """Says how far an operation is; asked in another process than the one that started it.

        Args:
            operation_id: The id that ``execute`` returned.
            backup: The Velero Backup.

        Raises:
            InvalidOperationIDError: There is no such operation.
            AsyncOperationsNotSupportedError: The action has no operations; this default.
        """
        raise AsyncOperationsNotSupportedError

    def cancel(self, operation_id: str, backup: dict[str, Any]) -> None:  # noqa: B027 - doing nothing is a valid answer
        """Asks an operation to stop; called when it timed out. Quick, and harmless when repeated; does nothing here.

        Args:
            operation_id: The id that ``execute`` returned.
            backup: The Velero Backup.
        """
