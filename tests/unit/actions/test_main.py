"""The plugin's list of actions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from velero_py_plugin.actions.main import ACTIONS
from velero_py_plugin.plugin.kinds import BackupItemActionV2, RestoreItemActionV2
from velero_py_plugin.testing.plugin_host import PluginHost

EXECUTABLE = Path(sys.executable).with_name("velero-py-plugin")


def test_the_executable_lists_its_actions_in_order() -> None:
    with PluginHost(EXECUTABLE) as host:
        listed = [(plugin.kind, plugin.name) for plugin in host.list_plugins()]
    assert listed == [
        ("BackupItemActionV2", "velero-py-plugin.io/volumesnapshotcontent-backupper"),
        ("BackupItemActionV2", "velero-py-plugin.io/volumesnapshot-backupper"),
        ("BackupItemActionV2", "velero-py-plugin.io/pvc-backupper"),
        ("RestoreItemActionV2", "velero-py-plugin.io/volumesnapshotcontent-restorer"),
        ("RestoreItemActionV2", "velero-py-plugin.io/volumesnapshot-restorer"),
        ("RestoreItemActionV2", "velero-py-plugin.io/pvc-restorer"),
    ]


def test_velero_takes_no_name_for_one_of_its_csi_actions() -> None:
    assert not [name for name in ACTIONS if "velero.io/csi-" in name]


def test_every_action_can_be_made_without_a_cluster() -> None:
    for action in ACTIONS.values():
        assert isinstance(action(), BackupItemActionV2 | RestoreItemActionV2)


def test_nothing_of_the_cluster_is_loaded_before_it_is_needed() -> None:
    script = (
        "import sys; import velero_py_plugin.actions.main as m; [a().applies_to() for a in m.ACTIONS.values()];"
        "print([n for n in sys.modules if n.startswith(('velero_py_plugin.kube.', 'urllib3', 'yaml', 'kubernetes'))])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['velero_py_plugin.kube.errors']"
