"""The executable this project installs, discovered by Velero's own client."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fix_velero import StartHarness
from velero_py_plugin.actions.main import ACTIONS
from velero_py_plugin.testing.plugin_host import PluginHost


@pytest.fixture
def installed() -> Path:
    """The console script of the environment that runs the tests."""
    path = Path(sys.prefix) / "bin" / "velero-py-plugin"
    assert path.exists(), "the project is not installed: pip install --editable ."
    return path


@pytest.fixture
def plugin_dir(installed: Path, tmp_path: Path) -> Path:
    """A plugin directory that holds nothing but that script."""
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / installed.name).symlink_to(installed)
    return directory


def test_velero_discovers_every_action(start_harness: StartHarness, plugin_dir: Path) -> None:
    harness = start_harness(plugin_dir)
    found = harness.result("discover")
    assert sorted(entry["name"] for entry in found) == sorted(ACTIONS)
    assert {entry["command"] for entry in found} == {str(plugin_dir / "velero-py-plugin")}
    for entry in found:
        selector = harness.result("call", kind=entry["kind"], name=entry["name"], method="AppliesTo")
        assert selector["IncludedResources"], f"{entry['name']} would see every object"
    harness.result("cleanup")
    counts = harness.result("logcounts")
    assert (counts["warn"], counts["error"]) == (0, 0)


def test_its_cold_start(
    start_harness: StartHarness, plugin_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    runs = start_harness(plugin_dir).result("coldstart", command=str(plugin_dir / "velero-py-plugin"), n=5)
    best = min(run["startPlusFirstCallMs"] for run in runs)
    record_property("cold_start_ms", best)
    assert best < 1000  # about 150 on a quiet machine


def test_it_starts_and_stops_in_silence(installed: Path) -> None:
    with PluginHost(installed, ["--log-level=debug"]) as host:
        assert len(host.list_plugins()) == len(ACTIONS)
    assert [line for line in host.log_lines if line.level != "debug"] == []
