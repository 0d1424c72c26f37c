from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from velero_py_plugin.plugin.goplugin.listener import SocketPathTooLongError, socket_path


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLUGIN_UNIX_SOCKET_DIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def test_the_socket_can_be_bound_and_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with socket_path() as path, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert path.startswith(f"{tmp_path}/plugin")
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_nothing_was_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(RuntimeError, match="elsewhere"), socket_path():
        raise RuntimeError("elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_get_different_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with socket_path() as one, socket_path() as other:
        assert one != other


def test_the_host_s_own_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setenv("PLUGIN_UNIX_SOCKET_DIR", str(tmp_path))
    with socket_path() as path:
        assert path.startswith(str(tmp_path))


def test_without_variables_it_is_tmp() -> None:
    with socket_path() as path:
        assert path.startswith("/tmp/plugin")


def test_a_path_that_cannot_be_bound_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    with pytest.raises(SocketPathTooLongError, match="set TMPDIR to a shorter directory"), socket_path():
        pass
    assert list(deep.iterdir()) == []
