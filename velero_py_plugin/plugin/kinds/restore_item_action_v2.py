"""The restore item action, version 2: what an action does with each object Velero is about to restore."""

from __future__ import annotations

import abc
import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from velero_py_plugin.plugin.kinds.errors import AsyncOperationsNotSupportedError
from velero_py_plugin.plugin.kinds.operation_progress import OperationProgress
from velero_py_plugin.plugin.kinds.resource_identifier import ResourceIdentifier
from velero_py_plugin.plugin.kinds.resource_selector import ResourceSelector


@dataclasses.dataclass(frozen=True)
class RestoreItemActionRequest:
    """One object on its way back into a cluster.

    Attributes:
        item: The object as earlier actions left it: without status and without most of its metadata, still in its
            original namespace.
        item_from_backup: The object exactly as it was backed up.
        restore: The Velero Restore. ``apiVersion`` and ``kind`` may be absent.
    """

    item: dict[str, Any]
    item_from_backup: dict[str, Any]
    restore: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RestoreItemActionResult:
    """What becomes of the object.

    Attributes:
        item: The object to restore instead, with its ``kind``; None restores exactly the bytes that came in.
        additional_items: Objects of the backup to restore before this one's next action.
        skip_restore: Do not restore the object; no further action sees it.
        operation_id: Names the work that goes on after this call; empty when there is none.
        wait_for_additional_items: Hold this object back until ``are_additional_items_ready`` says yes.
        additional_items_ready_timeout: How long to hold it back at most; None means the server's resource timeout
            (10 minutes unless set).
    """

    item: dict[str, Any] | None = None
    additional_items: Sequence[ResourceIdentifier] = ()
    skip_restore: bool = False
    operation_id: str = ""
    wait_for_additional_items: bool = False
    additional_items_ready_timeout: datetime.timedelta | None = None


class RestoreItemActionV2(abc.ABC):
    """Base of actions that run for each selected object of a restore (Velero >= 1.11).

    One instance serves the whole process and its methods are called from several threads at once. A process lives for
    one restore or one poll: what an operation needs to be found again must lie outside it.
    """

    @abc.abstractmethod
    def applies_to(self) -> ResourceSelector:
        """Says which objects ``execute`` is to see. Called first in every restore: constant, quick, without I/O."""

    @abc.abstractmethod
    def execute(self, request: RestoreItemActionRequest) -> RestoreItemActionResult:
        """Looks at one object, and may change it, add others, skip it, or start an operation.

        Raises:
            errors.Error: The object is not restored, the text is shown as the restore's error.
        """

    def progress(self, operation_id: str, restore: dict[str, Any]) -> OperationProgress:  # noqa: ARG002 - for subclasses
        """Says how far an operation is; asked in another process than the one that started it.

        Args:
            operation_id: The id that ``execute`` returned.
            restore: The Velero Restore.

        Raises:
            InvalidOperationIDError: There is no such operation.
            AsyncOperationsNotSupportedError: The action has no operations; this default.
        """
        raise AsyncOperationsNotSupportedError

    def cancel(self, operation_id: str, restore: dict[str, Any]) -> None:  # noqa: B027 - doing nothing is a valid answer
        """Asks an operation to stop; called when it timed out. Quick, and harmless when repeated; does nothing here.

        Args:
            operation_id: The id that ``execute`` returned.
            restore: The Velero Restore.
        """

    def are_additional_items_ready(
        self,
        additional_items: Sequence[ResourceIdentifier],  # noqa: ARG002 - for subclasses
        restore: dict[str, Any],  # noqa: ARG002 - for subclasses
    ) -> bool:
        """Says whether the object that asked to wait may go on; polled every second.

        Args:
            additional_items: Those additional items that exist in the cluster by now; may be empty.
            restore: The Velero Restore.

        Returns:
            True in this default.
        """
        return True
