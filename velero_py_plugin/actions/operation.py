"""Asynchronous operations that are DataUpload or DataDownload objects.

Velero asks for the progress of an operation in another process than the one that started it, so everything is read from
the object that carries the operation id as a label. Behaviour as of Velero's own actions: vmware-tanzu/velero v1.18.1
``pkg/backup/actions/csi/pvc_action.go`` and ``pkg/restore/actions/csi/pvc_action.go`` (``Progress``, ``Cancel``).
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from velero_py_plugin.actions.cluster import ClientFactory
from velero_py_plugin.actions.errors import DuplicateOperationError, OperationMissingError
from velero_py_plugin.api.names import ASYNC_OPERATION_ID_LABEL
from velero_py_plugin.api.phase import Phase
from velero_py_plugin.api.resource import DATA_DOWNLOAD, DATA_UPLOAD, ResourceType
from velero_py_plugin.errors import TemporaryError
from velero_py_plugin.plugin.kinds import InvalidOperationIDError, OperationProgress

if TYPE_CHECKING:
    from velero_py_plugin.kube.client import KubeClient

logger = logging.getLogger(__name__)

_ID_PATTERNS: Final = {
    DATA_UPLOAD: re.compile(r"du-[0-9A-Za-z._-]{0,59}[0-9A-Za-z]"),
    DATA_DOWNLOAD: re.compile(r"dd-[0-9A-Za-z._-]{0,59}[0-9A-Za-z]"),
}


def find_by_operation_id(
    kube: KubeClient, resource: ResourceType, namespace: str, operation_id: str
) -> dict[str, Any] | None:
    """Finds the object of one operation.

    Args:
        kube: The cluster.
        resource: ``DATA_UPLOAD`` or ``DATA_DOWNLOAD``.
        namespace: Velero's namespace.
        operation_id: Value of the label ``velero.io/async-operation-id``.

    Returns:
        The object, or None when there is none.

    Raises:
        DuplicateOperationError: More than one object carries the id.
    """
    found = kube.list(resource, namespace, label_selector=f"{ASYNC_OPERATION_ID_LABEL}={operation_id}")
    if len(found) > 1:
        names = ", ".join(sorted(item["metadata"]["name"] for item in found))
        raise DuplicateOperationError(
            f"{len(found)} {resource.kind} objects carry operation id {operation_id} ({names}); one is expected."
        )
    return found[0] if found else None


def ensure_operation(
    kube: KubeClient, resource: ResourceType, operation_id: str, wanted: dict[str, Any]
) -> dict[str, Any]:
    """Creates the object of an operation unless it exists.

    Args:
        kube: The cluster.
        resource: ``DATA_UPLOAD`` or ``DATA_DOWNLOAD``.
        operation_id: The label value ``wanted`` carries.
        wanted: The object to create.

    Returns:
        The object in the cluster.

    Raises:
        DuplicateOperationError: More than one object carries the id.
    """
    namespace = wanted["metadata"]["namespace"]
    existing = find_by_operation_id(kube, resource, namespace, operation_id)
    if existing is not None:
        logger.info("%s %s exists already", resource.kind, existing["metadata"]["name"])
        return existing
    try:
        created = kube.create(resource, wanted, namespace)
    except TemporaryError:
        # The answer may have been lost after the object was made.
        made = find_by_operation_id(kube, resource, namespace, operation_id)
        if made is None:
            raise
        return made
    logger.info("Created %s %s", resource.kind, created["metadata"]["name"])
    return created


def progress_of(resource: ResourceType, item: Mapping[str, Any]) -> OperationProgress:
    """Tells Velero what an object's status says.

    Success is an empty error text for Velero, so a failure without a message gets one here. An unknown phase counts as
    running: a newer mover may have added it.

    Args:
        resource: ``DATA_UPLOAD`` or ``DATA_DOWNLOAD``.
        item: The object.

    Returns:
        All fields empty while nobody has accepted the object; else bytes done and total, start and end, phase as
        description, and ``completed`` in the three terminal phases.
    """
    status = item.get("status") or {}
    phase = status.get("phase") or Phase.NEW
    if phase == Phase.NEW:
        return OperationProgress()
    error = ""
    if phase == Phase.FAILED:
        error = (
            status.get("message") or f"{resource.kind} {item['metadata']['name']} failed and its mover gave no reason."
        )
    elif phase == Phase.CANCELED:
        error = f"{resource.kind} is canceled"
    progress = status.get("progress") or {}
    return OperationProgress(
        completed=phase in (Phase.COMPLETED, Phase.FAILED, Phase.CANCELED),
        error=error,
        n_completed=int(progress.get("bytesDone") or 0),
        n_total=int(progress.get("totalBytes") or 0),
        operation_units="Bytes",
        description=str(phase),
        started=_time(status.get("startTimestamp")),
        updated=_time(status.get("completionTimestamp")),
    )


def operation_progress(
    client: ClientFactory, resource: ResourceType, operation_id: str, owner: Mapping[str, Any]
) -> OperationProgress:
    """Looks at one operation.

    Velero fails an operation for good on the first error, so an API server that is briefly away is reported as an
    operation that still runs.

    Args:
        client: Gives the cluster.
        resource: ``DATA_UPLOAD`` or ``DATA_DOWNLOAD``.
        operation_id: What ``Execute`` returned.
        owner: The Backup or Restore; its namespace holds the object.

    Raises:
        InvalidOperationIDError: The id is not of this kind.
        OperationMissingError: The object is gone.
        DuplicateOperationError: More than one object carries the id.
    """
    _check_operation_id(resource, operation_id)
    try:
        item = find_by_operation_id(client(), resource, owner["metadata"]["namespace"], operation_id)
    except TemporaryError as error:
        logger.warning("Cannot look at operation %s now: %s", operation_id, error)
        return OperationProgress(description=f"Unknown for now: {error}")
    if item is None:
        raise OperationMissingError(f"No {resource.kind} carries operation id {operation_id}; it was deleted.")
    return progress_of(resource, item)


def cancel_operation(
    client: ClientFactory, resource: ResourceType, operation_id: str, owner: Mapping[str, Any]
) -> None:
    """Asks the mover to stop, and returns at once; nothing happens when there is nothing left to stop.

    Args:
        client: Gives the cluster.
        resource: ``DATA_UPLOAD`` or ``DATA_DOWNLOAD``.
        operation_id: What ``Execute`` returned.
        owner: The Backup or Restore; its namespace holds the object.

    Raises:
        InvalidOperationIDError: The id is not of this kind.
        DuplicateOperationError: More than one object carries the id.
    """
    _check_operation_id(resource, operation_id)
    kube, namespace = client(), owner["metadata"]["namespace"]
    item = find_by_operation_id(kube, resource, namespace, operation_id)
    if item is None or progress_of(resource, item).completed:
        logger.info("Nothing to cancel for operation %s", operation_id)
        return
    kube.merge_patch(resource, item["metadata"]["name"], {"spec": {"cancel": True}}, namespace)


def _check_operation_id(resource: ResourceType, operation_id: str) -> None:
    """The id becomes part of a label selector, where a comma or an operator would select something else."""
    if not _ID_PATTERNS[resource].fullmatch(operation_id):
        raise InvalidOperationIDError(operation_id)


def _time(text: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None
