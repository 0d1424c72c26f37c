"""Restore item actions, version 2, over gRPC.

Source: velero v1.18.1 ``pkg/plugin/framework/restoreitemaction/v2/restore_item_action_server.go``.
"""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2

from velero_py_plugin._pb.velero.v2 import restore_item_action_pb2 as pb
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.goplugin.service import service_handler
from velero_py_plugin.plugin.registry import Registry
from velero_py_plugin.plugin.servicers.item_json import decode_object, encode_item
from velero_py_plugin.plugin.servicers.messages import (
    identifiers_from_pb,
    identifiers_to_pb,
    progress_to_pb,
    selector_to_pb,
)
from velero_py_plugin.plugin.servicers.returned import checked
from velero_py_plugin.plugin.status import reports_errors


class _Servicer:
    """One instance answers for all names of the kind; each request says which is meant."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def _action(self, name: str) -> kinds.RestoreItemActionV2:
        action: kinds.RestoreItemActionV2 = self._registry.get(kinds.RestoreItemActionV2, name)
        return action

    def applies_to(
        self, request: pb.RestoreItemActionAppliesToRequest, _context: grpc.ServicerContext
    ) -> pb.RestoreItemActionAppliesToResponse:
        selector = checked(self._action(request.plugin).applies_to(), kinds.ResourceSelector)
        return pb.RestoreItemActionAppliesToResponse(ResourceSelector=selector_to_pb(selector))

    def execute(
        self, request: pb.RestoreItemActionExecuteRequest, _context: grpc.ServicerContext
    ) -> pb.RestoreItemActionExecuteResponse:
        action = self._action(request.plugin)
        item = decode_object(request.item, "item")
        item_from_backup = decode_object(request.itemFromBackup, "itemFromBackup")
        restore = decode_object(request.restore, "restore")
        result = checked(
            action.execute(kinds.RestoreItemActionRequest(item, item_from_backup, restore)),
            kinds.RestoreItemActionResult,
        )
        return pb.RestoreItemActionExecuteResponse(
            # Velero reads the item before it looks at skipRestore, so there always is one.
            item=request.item if result.item is None else encode_item(result.item),
            additionalItems=identifiers_to_pb(result.additional_items),
            skipRestore=result.skip_restore,
            operationID=result.operation_id,
            waitForAdditionalItems=result.wait_for_additional_items,
            additionalItemsReadyTimeout=result.additional_items_ready_timeout,
        )

    def progress(
        self, request: pb.RestoreItemActionProgressRequest, _context: grpc.ServicerContext
    ) -> pb.RestoreItemActionProgressResponse:
        restore = decode_object(request.restore, "restore")
        progress = self._action(request.plugin).progress(request.operationID, restore)
        progress = checked(progress, kinds.OperationProgress)
        return pb.RestoreItemActionProgressResponse(progress=progress_to_pb(progress))

    def cancel(self, request: pb.RestoreItemActionCancelRequest, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        restore = decode_object(request.restore, "restore")
        self._action(request.plugin).cancel(request.operationID, restore)
        return empty_pb2.Empty()

    def are_additional_items_ready(
        self, request: pb.RestoreItemActionItemsReadyRequest, _context: grpc.ServicerContext
    ) -> pb.RestoreItemActionItemsReadyResponse:
        restore = decode_object(request.restore, "restore")
        additional_items = identifiers_from_pb(request.additionalItems)
        ready = self._action(request.plugin).are_additional_items_ready(additional_items, restore)
        return pb.RestoreItemActionItemsReadyResponse(ready=checked(ready, bool))


def restore_item_action_v2_handler(registry: Registry) -> grpc.GenericRpcHandler:
    """Makes ``v2.RestoreItemAction``."""
    servicer = _Servicer(registry)
    return service_handler(
        pb.DESCRIPTOR.services_by_name["RestoreItemAction"],
        {
            "AppliesTo": reports_errors(servicer.applies_to),
            "Execute": reports_errors(servicer.execute),
            "Progress": reports_errors(servicer.progress),
            "Cancel": reports_errors(servicer.cancel),
            "AreAdditionalItemsReady": reports_errors(servicer.are_additional_items_ready),
        },
    )
