from __future__ import annotations

from tests.support.sample_plugin import Plain, SampleBackup, SampleRestore
from tests.unit.plugin.servicers.conftest import Serve
from velero_py_plugin._pb.velero import plugin_lister_pb2, shared_pb2


def test_the_list_and_its_order(serve_actions: Serve) -> None:
    connection = serve_actions({"z.io/r": SampleRestore, "z.io/b": SampleBackup, "a.io/b": Plain})
    for _ in range(2):
        answer = connection.call(plugin_lister_pb2.DESCRIPTOR, "PluginLister", "ListPlugins", shared_pb2.Empty())
        assert [(entry.command, entry.kind, entry.name) for entry in answer.plugins] == [
            ("/plugins/x", "BackupItemActionV2", "z.io/b"),
            ("/plugins/x", "BackupItemActionV2", "a.io/b"),
            ("/plugins/x", "RestoreItemActionV2", "z.io/r"),
        ]
