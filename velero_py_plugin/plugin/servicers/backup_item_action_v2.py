"""Backup item actions, version 2, over gRPC.

Source: velero v1.18.1 ``pkg/plugin/framework/backupitemaction/v2/backup_item_action_server.go``.
"""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2

from velero_py_plugin._pb.velero.v2 import backup_item_action_pb2 as pb
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.goplugin.service import service_handler
from velero_py_plugin.plugin.registry import Registry
from velero_py_plugin.plugin.servicers.item_json import decode_object, encode_item
from velero_py_plugin.plugin.servicers.messages import identifiers_to_pb, progress_to_pb, selector_to_pb
from velero_py_plugin.plugin.servicers.returned import checked
from velero_py_plugin.plugin.status import reports_errors


class _Servicer:
    """One instance answers for all names of the kind; each request says which is meant."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def _action(self, name: str) -> kinds.BackupItemActionV2:
        action: kinds.BackupItemActionV2 = self._registry.get(kinds.BackupItemActionV2, name)
        return action

    def applies_to(
        self, request: pb.BackupItemActionAppliesToRequest, _context: grpc.ServicerContext
    ) -> pb.BackupItemActionAppliesToResponse:
        selector = checked(self._action(request.plugin).applies_to(), kinds.ResourceSelector)
        return pb.BackupItemActionAppliesToResponse(ResourceSelector=selector_to_pb(selector))

    def execute(self, request: pb.ExecuteRequest, _context: grpc.ServicerContext) -> pb.ExecuteResponse:
        action = self._action(request.plugin)
        item, backup = decode_object(request.item, "item"), decode_object(request.backup, "backup")
        result = checked(
            action.execute(kinds.BackupItemActionRequest(item, backup)),
            kinds.BackupItemActionResult,
        )
        return pb.ExecuteResponse(
            item=request.item if result.item is None else encode_item(result.item),
            additionalItems=identifiers_to_pb(result.additional_items),
            operationID=result.operation_id,
            postOperationItems=identifiers_to_pb(result.post_operation_items),
        )

    def progress(
        self, request: pb.BackupItemActionProgressRequest, _context: grpc.ServicerContext
    ) -> pb.BackupItemActionProgressResponse:
        backup = decode_object(request.backup, "backup")
        progress = self._action(request.plugin).progress(request.operationID, backup)
        progress = checked(progress, kinds.OperationProgress)
        return pb.BackupItemActionProgressResponse(progress=progress_to_pb(progress))

    def cancel(self, request: pb.BackupItemActionCancelRequest, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        backup = decode_object(request.backup, "backup")
        self._action(request.plugin).cancel(request.operationID, backup)
        return empty_pb2.Empty()


def backup_item_action_v2_handler(registry: Registry) -> grpc.GenericRpcHandler:
    """Makes ``v2.BackupItemAction``."""
    servicer = _Servicer(registry)
    return service_handler(
        pb.DESCRIPTOR.services_by_name["BackupItemAction"],
        {
            "AppliesTo": reports_errors(servicer.applies_to),
            "Execute": reports_errors(servicer.execute),
            "Progress": reports_errors(servicer.progress),
            "Cancel": reports_errors(servicer.cancel),
        },
    )
