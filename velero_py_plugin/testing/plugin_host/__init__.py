"""Velero's side of the plugin protocol: starts any plugin executable as Velero does, calls it, and stops it.

For tests of plugins, in whatever language they are written::

    with PluginHost("/plugins/my-plugin") as host:
        print(host.list_plugins())
        result = host.backup_item_action("example.io/annotate").execute(item, backup)

Where Velero would crash, refuse or wait for ever, an error says so.
"""

from velero_py_plugin.testing.plugin_host.actions import BackupItemActionClient, RestoreItemActionClient
from velero_py_plugin.testing.plugin_host.connection import Connection
from velero_py_plugin.testing.plugin_host.errors import (
    PluginAnswerError,
    PluginCallError,
    PluginHostError,
    PluginStartError,
    PluginStopError,
    StackFrame,
)
from velero_py_plugin.testing.plugin_host.host import PluginExit, PluginHost, PluginIdentifier, legacy_arguments
from velero_py_plugin.testing.plugin_host.log import LogLine, LogReader

__all__ = [
    "BackupItemActionClient",
    "Connection",
    "LogLine",
    "LogReader",
    "PluginAnswerError",
    "PluginCallError",
    "PluginExit",
    "PluginHost",
    "PluginHostError",
    "PluginIdentifier",
    "PluginStartError",
    "PluginStopError",
    "RestoreItemActionClient",
    "StackFrame",
    "legacy_arguments",
]
