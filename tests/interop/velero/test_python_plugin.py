"""Velero's own plugin client (registry, manager, restartable processes, log) drives a plugin made with the SDK."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fix_velero import Harness, StartHarness, WritePlugin

BACKUP = {"metadata": {"name": "nightly", "namespace": "velero"}}
RESTORE = {"metadata": {"name": "after-the-fire", "namespace": "velero"}}
SECRET = {"resource": "secrets", "namespace": "shop", "name": "key"}
UPLOAD = {"group": "velero.io", "resource": "datauploads", "namespace": "velero", "name": "du-1"}
BACKUP_ACTION = {"kind": "BackupItemActionV2", "name": "example.io/backup"}
RESTORE_ACTION = {"kind": "RestoreItemActionV2", "name": "example.io/restore"}


def config_map(do: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop"}, "spec": {"do": do}}


@pytest.fixture
def harness(start_harness: StartHarness, sample: Path) -> Harness:
    """Velero's client with the sample plugin discovered."""
    harness = start_harness(sample.parent)
    harness.result("discover")
    return harness


def test_discovery_registers_everything_in_order(start_harness: StartHarness, sample: Path) -> None:
    found = start_harness(sample.parent).result("discover")
    assert [(entry["listedUnder"], entry["name"], entry["command"]) for entry in found] == [
        ("BackupItemActionV2", "example.io/backup", str(sample)),
        ("BackupItemActionV2", "example.io/a-plain", str(sample)),
        ("BackupItemActionV2", "example.io/unready", str(sample)),
        ("RestoreItemActionV2", "example.io/restore", str(sample)),
    ]


@pytest.mark.parametrize(
    "server_args",
    ["--features=EnableCSI --uploader-type=kopia --restore-only -v 4 --namespace ns", "--log-level debug"],
)
def test_discovery_with_the_server_s_arguments(start_harness: StartHarness, sample: Path, server_args: str) -> None:
    assert len(start_harness(sample.parent, "--server-args", server_args).result("discover")) == 4


def test_every_method_of_a_backup_item_action(harness: Harness) -> None:
    assert harness.result("call", **BACKUP_ACTION, method="AppliesTo") == {
        "IncludedNamespaces": ["shop"],
        "ExcludedNamespaces": ["kube-system"],
        "IncludedResources": ["configmaps"],
        "ExcludedResources": ["pods"],
        "LabelSelector": "app=web",
    }
    changed = harness.result("call", **BACKUP_ACTION, method="Execute", item=config_map("change"), backup=BACKUP)
    assert changed["item"]["metadata"]["annotations"] == {"example.io/backup": "nightly"}
    assert (changed["additionalItems"], changed["operationID"], changed["postOperationItems"]) == (
        [SECRET],
        "op-1",
        [UPLOAD],
    )
    progress = harness.result("call", **BACKUP_ACTION, method="Progress", operationID="op-1", backup=BACKUP)
    assert progress == {
        "completed": False,
        "err": "",
        "nCompleted": 3,
        "nTotal": 2**53 + 1,
        "operationUnits": "Bytes",
        "description": "",
        "started": "2026-01-02T03:04:05.678901Z",
        "startedIsZero": False,
        "updated": "0001-01-01T00:00:00Z",
        "updatedIsZero": True,
    }
    assert harness.result("call", **BACKUP_ACTION, method="Cancel", operationID="op-1", backup=BACKUP) is None


def test_every_method_of_a_restore_item_action(harness: Harness) -> None:
    assert harness.result("call", **RESTORE_ACTION, method="AppliesTo")["IncludedResources"] == [
        "persistentvolumeclaims"
    ]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x"}, "spec": {}}
    backed_up = {**claim, "spec": {"volumeName": "pv-1"}}
    execute = {"method": "Execute", "itemFromBackup": backed_up, "restore": RESTORE}
    changed = harness.result("call", **RESTORE_ACTION, **execute, item=claim)
    assert changed["item"]["metadata"]["annotations"] == {
        "example.io/volume": "pv-1",
        "example.io/restore": "after-the-fire",
    }
    del changed["item"]
    assert changed == {
        "additionalItems": [SECRET],
        "skipRestore": False,
        "operationID": "op-2",
        "waitForAdditionalItems": True,
        "additionalItemsReadyTimeout": 90.005,
    }
    skipped = harness.result("call", **RESTORE_ACTION, **execute, item=config_map("skip"))
    assert skipped["skipRestore"]
    assert skipped["item"] == config_map("skip")
    progress = harness.result("call", **RESTORE_ACTION, method="Progress", operationID="op-2", restore=RESTORE)
    assert (progress["completed"], progress["err"], progress["startedIsZero"]) == (True, "disk full", True)
    assert harness.result("call", **RESTORE_ACTION, method="Cancel", operationID="op-2", restore=RESTORE) is None
    for items, ready in (([], False), ([SECRET], True)):
        call = {"method": "AreAdditionalItemsReady", "additionalItems": items, "restore": RESTORE}
        assert harness.result("call", **RESTORE_ACTION, **call) is ready


def test_numbers_survive_the_way_there_and_back(harness: Harness) -> None:
    numbers = {"max": 2**63 - 1, "min": -(2**63), "float": 0.1, "whole": 3.5, "zero": 0}
    item = {
        **config_map("change"),
        "numbers": numbers,
        "text": "größe \U0001f600",
        "null": None,
        "empty": {},
        "list": [],
    }
    changed = harness.result("call", **BACKUP_ACTION, method="Execute", item=item, backup=BACKUP)["item"]
    for key in ("numbers", "text", "null", "empty", "list"):
        assert changed[key] == item[key]


@pytest.mark.parametrize(
    ("do", "text"),
    [
        ("fail", "rpc error: code = Unknown desc = the claim has no snapshot class"),
        ("bug", "rpc error: code = Aborted desc = plugin panicked: KeyError: 'missing'"),
        ("exit", "rpc error: code = Aborted desc = plugin panicked: SystemExit: 3"),
    ],
)
def test_errors_arrive_with_their_text(harness: Harness, do: str, text: str) -> None:
    answer = harness.ask("call", **BACKUP_ACTION, method="Execute", item=config_map(do), backup=BACKUP)
    assert answer["error"] == text


def test_velero_knows_where_an_error_came_from(harness: Harness, sample: Path) -> None:
    for do in ("fail", "bug"):
        harness.ask("call", **BACKUP_ACTION, method="Execute", item=config_map(do), backup=BACKUP)
    harness.close()
    failures = [line for line in harness.log_lines() if line["msg"] == "request failed"]
    assert len(failures) == 2
    for line in failures:
        assert line["error.file"].startswith(f"{sample}:")
        assert line["error.function"] == "act"


def test_missing_operations_and_names(harness: Harness) -> None:
    answer = harness.ask("call", **BACKUP_ACTION, method="Progress", operationID="op-9", backup=BACKUP)
    assert answer["error"] == "rpc error: code = Unknown desc = operation ID op-9 is invalid"
    plain = {"kind": "BackupItemActionV2", "name": "example.io/a-plain", "method": "Progress", "operationID": "x"}
    answer = harness.ask("call", **plain, backup=BACKUP)
    assert answer["error"] == "rpc error: code = Unknown desc = Plugin does not support asynchronous operations"


def test_objects_of_20_mib(harness: Harness) -> None:
    item = {**config_map("change"), "data": "x" * (20 << 20)}
    changed = harness.result("call", **BACKUP_ACTION, method="Execute", item=item, backup=BACKUP)
    assert changed["item"]["data"] == item["data"]


def test_parallel_calls_on_one_process(harness: Harness) -> None:
    outcomes = harness.result(
        "parallel", **BACKUP_ACTION, method="Execute", item=config_map("change"), backup=BACKUP, n=32
    )
    assert [outcome["result"]["operationID"] for outcome in outcomes] == ["op-1"] * 32
    assert len(plugin_processes(harness)) == 1


def test_a_killed_process_is_started_again(harness: Harness) -> None:
    harness.result("call", **BACKUP_ACTION, method="AppliesTo")
    (process,) = plugin_processes(harness)
    harness.result("signal", pid=process["pid"], signal=int(signal.SIGKILL))
    deadline = time.monotonic() + 10
    while "error" in (answer := harness.ask("call", **BACKUP_ACTION, method="AppliesTo")):
        assert "code = Unavailable" in answer["error"]  # until Velero has noticed
        assert time.monotonic() < deadline
    assert answer["result"]["IncludedResources"] == ["configmaps"]
    assert plugin_processes(harness)[0]["pid"] != process["pid"]


def test_a_quiet_run_leaves_no_warning_and_stops_in_good_order(harness: Harness) -> None:
    harness.result("call", **BACKUP_ACTION, method="Execute", item=config_map("change"), backup=BACKUP)
    harness.result("cleanup")
    counts = harness.result("logcounts")
    assert (counts["warn"], counts["error"]) == (0, 0)
    assert harness.close() == 0
    messages = [line["msg"] for line in harness.log_lines()]
    assert "plugin process exited" in messages
    assert not any("gracefully" in message for message in messages)


def test_log_lines_arrive_as_they_were_meant(start_harness: StartHarness, sample: Path) -> None:
    harness = start_harness(sample.parent, "--log-level", "debug", "--server-args", "--log-level debug")
    harness.result("discover")
    for do in ("log", "say"):
        harness.result("call", **BACKUP_ACTION, method="Execute", item=config_map(do), backup=BACKUP)
    harness.ask("call", **BACKUP_ACTION, method="Execute", item=config_map("bug"), backup=BACKUP)
    harness.result("cleanup")
    counts = harness.result("logcounts")
    assert (counts["warn"], counts["error"]) == (0, 0)
    assert harness.close() == 0  # no line made Velero panic
    lines = {line["msg"]: line for line in harness.log_lines()}
    assert lines["about an object"]["level"] == "info"
    assert lines["about an object"]["logSource"].startswith(f"{sample}:")
    assert lines["about an object"]["namespace"] == "None"
    assert lines["about an object"]["resource"] == "5"
    assert lines["details"]["level"] == "debug"
    for text in ("printed", "complained", "from a subprocess", "and its errors"):
        assert lines[text]["level"] == "info"
    assert lines["an action failed unexpectedly"]["error"] == "'missing'"


def test_error_lines_count(harness: Harness) -> None:
    harness.result("call", **BACKUP_ACTION, method="Execute", item=config_map("raise elsewhere"), backup=BACKUP)
    harness.result("cleanup")
    assert harness.result("logcounts")["error"] == 2


def test_shutdown_while_calls_block_takes_less_than_two_seconds(
    start_harness: StartHarness, write_plugin: WritePlugin
) -> None:
    """A handler that outlives its call keeps a thread busy; the process must not wait for it."""
    script = write_plugin(
        "import threading\n"
        "from velero_py_plugin.plugin import kinds\n"
        "from velero_py_plugin.plugin.serve import serve\n"
        "class Lingering(kinds.BackupItemActionV2):\n"
        "    def applies_to(self):\n"
        "        threading.Thread(target=threading.Event().wait).start()\n"
        "        return kinds.ResourceSelector()\n"
        "    def execute(self, request):\n"
        "        return kinds.BackupItemActionResult()\n"
        "serve({'example.io/lingering': Lingering})\n"
    )
    harness = start_harness(script.parent)
    harness.result("discover")
    harness.result("call", kind="BackupItemActionV2", name="example.io/lingering", method="AppliesTo")
    answer = harness.ask("cleanup")
    assert answer["ms"] < 2000
    assert not any("gracefully" in line["msg"] for line in harness.log_lines())


def test_cold_start(harness: Harness, sample: Path, record_property: Callable[[str, object], None]) -> None:
    runs = harness.result("coldstart", command=str(sample), n=5)
    best = min(run["startPlusFirstCallMs"] for run in runs)
    memory = max(process["VmHWM"] for run in runs for process in run["procs"] if str(sample) in process["cmdline"])
    record_property("cold_start_ms", best)
    record_property("memory_kib", memory)
    assert best < 1000  # about 120 on a quiet machine; Velero starts a process for each poll, every ten seconds
    assert memory < 80_000  # about 40,000


def plugin_processes(harness: Harness) -> list[dict[str, Any]]:
    return [process for process in harness.result("procs") if any("plugins/" in word for word in process["cmdline"])]
