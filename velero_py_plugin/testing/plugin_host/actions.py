"""Typed calls of item actions, as Velero's wrappers make them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from velero_py_plugin._pb.velero.v2 import backup_item_action_pb2, restore_item_action_pb2
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.servicers.messages import (
    identifiers_from_pb,
    identifiers_to_pb,
    progress_from_pb,
    selector_from_pb,
)
from velero_py_plugin.testing.plugin_host.connection import Connection
from velero_py_plugin.testing.plugin_host.errors import PluginAnswerError


class BackupItemActionClient:
    """Calls one backup item action, version 2. Made by ``PluginHost.backup_item_action``.

    Every method raises ``PluginCallError`` when the plugin answers with an error, and ``PluginAnswerError`` when Velero
    would not accept the answer.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def applies_to(self) -> kinds.ResourceSelector:
        """Asks which objects the action wants to see; an answer without a selector means all of them."""
        answer = self._call("AppliesTo", backup_item_action_pb2.BackupItemActionAppliesToRequest(plugin=self._name))
        return selector_from_pb(answer.ResourceSelector)

    def execute(self, item: Mapping[str, Any], backup: Mapping[str, Any]) -> kinds.BackupItemActionResult:
        """Shows the action one object; the result's ``item`` is the object Velero would store."""
        answer = self._call(
            "Execute",
            backup_item_action_pb2.ExecuteRequest(plugin=self._name, item=_encode(item), backup=_encode(backup)),
        )
        return kinds.BackupItemActionResult(
            item=_returned_item(answer.item),
            additional_items=identifiers_from_pb(answer.additionalItems),
            operation_id=answer.operationID,
            post_operation_items=identifiers_from_pb(answer.postOperationItems),
        )

    def progress(self, operation_id: str, backup: Mapping[str, Any]) -> kinds.OperationProgress:
        """Asks how far an operation is."""
        request = backup_item_action_pb2.BackupItemActionProgressRequest(
            plugin=self._name, operationID=operation_id, backup=_encode(backup)
        )
        return _returned_progress(self._call("Progress", request))

    def cancel(self, operation_id: str, backup: Mapping[str, Any]) -> None:
        """Asks to stop an operation."""
        request = backup_item_action_pb2.BackupItemActionCancelRequest(
            plugin=self._name, operationID=operation_id, backup=_encode(backup)
        )
        self._call("Cancel", request)

    def _call(self, method: str, request: Any) -> Any:
        return self._connection.call(backup_item_action_pb2.DESCRIPTOR, "BackupItemAction", method, request)


class RestoreItemActionClient:
    """Calls one restore item action, version 2. Made by ``PluginHost.restore_item_action``.

    Every method raises ``PluginCallError`` when the plugin answers with an error, and ``PluginAnswerError`` when Velero
    would not accept the answer.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def applies_to(self) -> kinds.ResourceSelector:
        """Asks which objects the action wants to see; an answer without a selector means all of them."""
        answer = self._call("AppliesTo", restore_item_action_pb2.RestoreItemActionAppliesToRequest(plugin=self._name))
        return selector_from_pb(answer.ResourceSelector)

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> kinds.RestoreItemActionResult:
        """Shows the action one object; the result's ``item`` is the object Velero would restore."""
        request = restore_item_action_pb2.RestoreItemActionExecuteRequest(
            plugin=self._name,
            item=_encode(item),
            itemFromBackup=_encode(item_from_backup),
            restore=_encode(restore),
        )
        answer = self._call("Execute", request)
        timeout = answer.additionalItemsReadyTimeout.ToTimedelta()
        return kinds.RestoreItemActionResult(
            item=_returned_item(answer.item),
            additional_items=identifiers_from_pb(answer.additionalItems),
            skip_restore=answer.skipRestore,
            operation_id=answer.operationID,
            wait_for_additional_items=answer.waitForAdditionalItems,
            additional_items_ready_timeout=timeout or None,
        )

    def progress(self, operation_id: str, restore: Mapping[str, Any]) -> kinds.OperationProgress:
        """Asks how far an operation is."""
        request = restore_item_action_pb2.RestoreItemActionProgressRequest(
            plugin=self._name, operationID=operation_id, restore=_encode(restore)
        )
        return _returned_progress(self._call("Progress", request))

    def cancel(self, operation_id: str, restore: Mapping[str, Any]) -> None:
        """Asks to stop an operation."""
        request = restore_item_action_pb2.RestoreItemActionCancelRequest(
            plugin=self._name, operationID=operation_id, restore=_encode(restore)
        )
        self._call("Cancel", request)

    def are_additional_items_ready(
        self, additional_items: Sequence[kinds.ResourceIdentifier], restore: Mapping[str, Any]
    ) -> bool:
        """Asks whether the object that waits for these may go on."""
        request = restore_item_action_pb2.RestoreItemActionItemsReadyRequest(
            plugin=self._name, restore=_encode(restore), additionalItems=identifiers_to_pb(additional_items)
        )
        ready: bool = self._call("AreAdditionalItemsReady", request).ready
        return ready

    def _call(self, method: str, request: Any) -> Any:
        return self._connection.call(restore_item_action_pb2.DESCRIPTOR, "RestoreItemAction", method, request)


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _returned_item(data: bytes) -> dict[str, Any]:
    """Reads an item as strictly as apimachinery's ``pkg/apis/meta/v1/unstructured/helpers.go``, which Velero uses."""
    try:
        item = json.loads(data)
    except ValueError as error:
        raise PluginAnswerError(f"the returned item is not JSON: {error}") from error
    if not isinstance(item, dict) or not isinstance(item.get("kind"), str) or not item["kind"]:
        raise PluginAnswerError("the returned item has no kind")
    return item


def _returned_progress(
    answer: backup_item_action_pb2.BackupItemActionProgressResponse
    | restore_item_action_pb2.RestoreItemActionProgressResponse,
) -> kinds.OperationProgress:
    if not answer.HasField("progress"):
        raise PluginAnswerError("the answer holds no progress, which makes Velero crash")
    return progress_from_pb(answer.progress)
