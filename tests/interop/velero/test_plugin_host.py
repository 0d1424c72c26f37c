"""Our side of the protocol in Python and Velero's own client come to the same conclusions, about the same plugins."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import pytest

from tests.support.fix_velero import StartHarness
from velero_py_plugin.plugin import kinds
from velero_py_plugin.testing.plugin_host import PluginCallError, PluginHost, PluginStartError

BADS = Path(__file__).parents[2] / "peers" / "velero" / "bads"
BACKUP_ACTION, RESTORE_ACTION = "example.io/bia", "example.io/ria"


def test_a_go_plugin_from_start_to_end(go_plugin: Path) -> None:
    with PluginHost(go_plugin, ["--log-level", "info"]) as host:
        host.ping()
        assert [(plugin.command, plugin.kind, plugin.name) for plugin in host.list_plugins()] == [
            (str(go_plugin), "BackupItemActionV2", BACKUP_ACTION),
            (str(go_plugin), "RestoreItemActionV2", RESTORE_ACTION),
            (str(go_plugin), "DeleteItemAction", "example.io/dia"),
            (str(go_plugin), "ItemBlockAction", "example.io/iba"),
        ]
        ended = host.shutdown()
    assert ended.orderly
    assert ended.seconds < 2
    assert host.stray_output() == []


def test_a_go_backup_item_action(go_plugin: Path) -> None:
    item = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "n": 2**53 + 1}
    with PluginHost(go_plugin) as host:
        action = host.backup_item_action(BACKUP_ACTION)
        assert action.applies_to() == kinds.ResourceSelector(included_resources=("configmaps",))
        assert action.execute(item, {}) == kinds.BackupItemActionResult(
            item, (), "op-1", (kinds.ResourceIdentifier("", "configmaps", "a", "b"),)
        )
        assert action.progress("op-1", {}) == kinds.OperationProgress(
            completed=True,
            n_completed=5,
            n_total=5,
            operation_units="Bytes",
            started=datetime.datetime.fromtimestamp(1, datetime.UTC),
        )
        action.cancel("op-1", {})
        line = host.wait_for_log(lambda line: line.message == "bia execute")
    assert (line.level, line.structured) == ("info", True)
    assert "main.go" in line.fields["logSource"]
    assert not any(line.fatal or line.fatal_during_backup for line in host.log_lines)


def test_a_go_restore_item_action(go_plugin: Path) -> None:
    item = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}}
    with PluginHost(go_plugin) as host:
        action = host.restore_item_action(RESTORE_ACTION)
        assert action.applies_to() == kinds.ResourceSelector(included_resources=("configmaps",))
        assert action.execute(item, item, {}) == kinds.RestoreItemActionResult(
            item, operation_id="rop-1", wait_for_additional_items=True
        )
        assert action.progress("rop-1", {}) == kinds.OperationProgress(completed=True)
        action.cancel("rop-1", {})
        assert action.are_additional_items_ready((), {})


def test_a_go_error_with_its_stack(go_plugin: Path) -> None:
    with PluginHost(go_plugin) as host, pytest.raises(PluginCallError) as caught:
        host.backup_item_action("example.io/other").applies_to()
    assert caught.value.code == "Unknown"
    assert "example.io/other was not found or has an invalid name format" in caught.value.message
    # Velero >= 1.18.2 sends the frames outermost first, against its own client's reading; older ones innermost first.
    assert any(frame.file.endswith("server_mux.go") for frame in caught.value.stack)


@pytest.mark.parametrize(
    "name",
    [
        "silent/p",
        "trace/p",
        "garbage/p",
        "banner/p",
        "badproto/p",
        "netrpc/p",
        "noexecfmt/p",
        "nointerp/p",
        "deadsock/p",
    ],
)
def test_what_we_refuse_to_start_velero_refuses_to_start(name: str, start_harness: StartHarness) -> None:
    with pytest.raises(PluginStartError):
        PluginHost(BADS / name).start()
    assert start_harness((BADS / name).parent).ask("discover")["error"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("garbage", "unrecognized remote plugin message: hello world"),
        ("badproto", "incompatible API version with plugin"),
        ("netrpc", 'unsupported plugin protocol "netrpc"'),
    ],
)
def test_the_texts_are_the_same(name: str, text: str, start_harness: StartHarness) -> None:
    with pytest.raises(PluginStartError, match=text):
        PluginHost(BADS / name / "p").start()
    error = start_harness(BADS / name).ask("discover")["error"]
    assert text.lower() in error.lower()


@pytest.mark.parametrize("name", ["msgint", "nullmsg", "lvlint", "tsint"])
def test_the_lines_that_we_call_fatal_kill_velero(name: str, start_harness: StartHarness) -> None:
    host = PluginHost(BADS / name / "p")
    with pytest.raises(PluginStartError):
        host.start()
    assert host.log_lines[0].fatal
    harness = start_harness(BADS / name)
    assert harness.ask("discover") == {}
    assert harness.close() != 0
    assert "panic: interface conversion" in harness.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["warning", "plain", "plain2", "err"])
def test_levels_are_read_alike(name: str, start_harness: StartHarness, tmp_path: Path) -> None:
    host = PluginHost(BADS / name / "p")
    with pytest.raises(PluginStartError):
        host.start()
    (seen,) = host.log_lines
    plugins = tmp_path / "plugins"
    shutil.copytree(BADS / name, plugins)
    harness = start_harness(plugins, "--log-level", "debug")
    harness.ask("discover")
    harness.close()
    lines = [line for line in harness.log_lines() if line["msg"] == seen.message]
    assert [line["level"] for line in lines] == [{"warn": "warning"}.get(seen.level, seen.level)]
