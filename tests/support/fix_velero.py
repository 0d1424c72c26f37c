"""Plugin executables, and Velero's real plugin client to try them with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import sample_plugin
from velero_py_plugin.testing.plugin_host import PluginHost

WritePlugin = Callable[..., Path]


@pytest.fixture
def socket_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where plugins put their sockets in this test: one that is killed cannot remove its own."""
    directory = tmp_path / "t"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


@pytest.fixture
def write_plugin(tmp_path: Path, socket_directory: Path) -> WritePlugin:
    """Makes an executable of Python source, in a plugin directory: ``write_plugin(source, name="plugin")``."""

    def write(source: str, name: str = "plugin") -> Path:
        path = tmp_path / "plugins" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def sample(write_plugin: WritePlugin) -> Path:
    """The sample plugin as an executable."""
    return write_plugin(Path(sample_plugin.__file__).read_text(encoding="utf-8"), "sample")


@pytest.fixture
def sample_host(sample: Path) -> Iterator[PluginHost]:
    """The sample plugin, running; it must end in good order."""
    with PluginHost(sample) as host:
        yield host


def peer(name: str) -> Path:
    """Finds the binary of a real peer; without it the test is skipped, or fails where peers are required."""
    binaries = Path(os.environ.get("PEERS_BIN") or Path.home() / ".cache/velero-py-plugin/peers/bin")
    path = binaries / name
    if not path.exists():
        message = f"{name} is missing: build it with tests/peers/velero/build.sh"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


class Harness:
    """Velero's own plugin client in a process (``tests/peers/velero/harness``), asked one question at a time.

    Attributes:
        log: Velero's log, one JSON object per line; complete once the harness is closed.
    """

    def __init__(self, binary: Path, plugin_dir: Path, work_dir: Path, arguments: list[str]) -> None:
        self.log = work_dir / "velero.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "--plugin-dir", plugin_dir, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns the whole answer, an ``error`` included; empty when Velero crashed over it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"op": op, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

    def result(self, op: str, **fields: Any) -> Any:
        """Sends a request that must succeed and returns its result."""
        answer = self.ask(op, **fields)
        assert "error" not in answer, answer
        return answer.get("result")

    def close(self) -> int:
        """Ends it as Velero's server ends; returns the exit status."""
        assert self._process.stdin
        assert self._process.stdout
        if not self._process.stdin.closed:
            self._process.stdin.close()
        status = self._process.wait(30)
        self._process.stdout.close()
        return status

    def log_lines(self) -> list[dict[str, Any]]:
        """Velero's log so far, without what is not JSON, such as the trace of a crash."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


StartHarness = Callable[..., Harness]


@pytest.fixture
def start_harness(tmp_path: Path, socket_directory: Path) -> Iterator[StartHarness]:
    """Starts Velero's plugin client on a plugin directory: ``start_harness(directory, "--log-level", "debug")``."""
    binary = peer("velero-harness")
    started: list[Harness] = []

    def start(plugin_dir: Path, *arguments: str) -> Harness:
        started.append(Harness(binary, plugin_dir, tmp_path, list(arguments)))
        return started[-1]

    yield start
    for harness in started:
        harness.close()


@pytest.fixture
def go_plugin(tmp_path: Path, socket_directory: Path) -> Path:
    """A sample plugin written in Go with Velero's framework, in a plugin directory of its own."""
    path = tmp_path / "go" / "velero-goplugin"
    path.parent.mkdir()
    shutil.copy2(peer("plugins-go/velero-goplugin"), path)
    return path
