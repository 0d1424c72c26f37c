"""The lister: the first thing Velero asks, and the only one while its server starts."""

from __future__ import annotations

import grpc

from velero_py_plugin._pb.velero import plugin_lister_pb2, shared_pb2
from velero_py_plugin.plugin.goplugin.service import service_handler
from velero_py_plugin.plugin.registry import KINDS, Registry
from velero_py_plugin.plugin.status import reports_errors


def plugin_lister_handler(registry: Registry, command: str) -> grpc.GenericRpcHandler:
    """Makes ``generated.PluginLister``.

    Args:
        registry: What to list, in this order.
        command: The path Velero executed. Velero starts this very string for every later use, and groups processes by
            it (velero v1.18.1 ``pkg/plugin/clientmgmt/process/registry.go``).
    """
    plugins = [
        plugin_lister_pb2.PluginIdentifier(command=command, kind=KINDS[entry.kind], name=entry.name)
        for entry in registry.registrations
    ]

    @reports_errors
    def list_plugins(
        _request: shared_pb2.Empty, _context: grpc.ServicerContext
    ) -> plugin_lister_pb2.ListPluginsResponse:
        return plugin_lister_pb2.ListPluginsResponse(plugins=plugins)

    service = plugin_lister_pb2.DESCRIPTOR.services_by_name["PluginLister"]
    return service_handler(service, {"ListPlugins": list_plugins})
