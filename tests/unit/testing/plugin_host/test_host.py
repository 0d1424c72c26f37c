"""Plugins that Velero would not stand, and what the host says of them. Good ones are in ``plugin/test_serve.py``."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.fix_velero import WritePlugin
from velero_py_plugin import errors
from velero_py_plugin.testing import plugin_host
from velero_py_plugin.testing.plugin_host import (
    PluginAnswerError,
    PluginExit,
    PluginHost,
    PluginHostError,
    PluginIdentifier,
    PluginStartError,
    PluginStopError,
    legacy_arguments,
)
from velero_py_plugin.testing.plugin_host.host import check_list

pytestmark = pytest.mark.usefixtures("socket_directory")

BADS = Path(__file__).parents[4] / "tests" / "peers" / "velero" / "bads"

GOOD_START = """
import os, sys, threading, time
from concurrent import futures
import grpc
from velero_py_plugin.plugin.goplugin import process
server = process.grpc_server((), lambda reason: {on_shutdown})
path = os.path.join({directory!r}, "s")
server.add_insecure_port("unix:" + path)
server.start()
os.write(1, ("1|2|unix|" + path + "|grpc\\n").encode())
threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("silent/p", "before a handshake line; its last words: nothing"),
        ("trace/p", "before a handshake line; its last words: .* / RuntimeError: boom"),
        ("garbage/p", "unrecognized remote plugin message: hello world"),
        ("banner/p", "unrecognized remote plugin message: loading"),
        ("badproto/p", "incompatible API version"),
        ("netrpc/p", 'unsupported plugin protocol "netrpc"'),
        ("noexecfmt/p", "cannot be executed: .*Exec format error"),
        ("nointerp/p", "cannot be executed: .*No such file"),
        ("symlink/link", "cannot be executed: .*No such file"),
        ("exe/p.exe", "cannot be executed: .*Permission denied"),
    ],
)
def test_bad_plugins_do_not_start(name: str, text: str) -> None:
    host = PluginHost(BADS / name)
    with pytest.raises(PluginStartError, match=text) as caught:
        host.start()
    assert isinstance(caught.value, errors.PermanentError)


def test_a_plugin_that_says_nothing_is_killed() -> None:
    host = PluginHost(BADS / "hang" / "p", start_timeout=0.3)
    with pytest.raises(PluginStartError, match="timeout while waiting for plugin to start"):
        host.start()
    assert host.kill().status == -signal.SIGKILL


@pytest.mark.parametrize("name", ["deadsock/p", "muted/p"])
def test_a_plugin_that_does_not_listen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velero_py_plugin.testing.plugin_host.connection.CONNECT_SECONDS", 0.3)
    host = PluginHost(BADS / name)
    with pytest.raises(PluginStartError, match="nobody answers"):
        host.start()


@pytest.mark.parametrize(
    ("name", "fatal", "fatal_during_backup", "level"),
    [
        ("msgint", "@message is not a string", "", "error"),
        ("nullmsg", "@message is not a string", "", "error"),
        ("lvlint", "@level is not a string", "", "error"),
        ("tsint", "@timestamp is not a string", "", "error"),
        ("okline", "", "name is not a string", "warn"),
        ("warning", "", "", "debug"),
        ("plain", "", "", "error"),
        ("plain2", "", "", "error"),
        ("err", "", "", "error"),
        ("long", "", "", "debug"),
    ],
)
def test_bad_log_lines(name: str, fatal: str, fatal_during_backup: str, level: str) -> None:
    host = PluginHost(BADS / name / "p")
    with pytest.raises(PluginStartError):
        host.start()
    line = host.log_lines[0]
    assert (line.fatal, line.fatal_during_backup, line.level) == (fatal, fatal_during_backup, level)


def test_a_plugin_that_does_not_stop_is_killed_after_two_seconds(write_plugin: WritePlugin, tmp_path: Path) -> None:
    host = PluginHost(write_plugin(GOOD_START.format(directory=str(tmp_path), on_shutdown="None")))
    with pytest.raises(PluginStopError, match="killed=True"), host:
        host.ping()
    ended = host.shutdown()  # once more changes nothing
    assert (ended.status, ended.killed) == (-signal.SIGKILL, True)
    assert 2 <= ended.seconds < 5


def test_a_status_other_than_zero_is_reported(write_plugin: WritePlugin, tmp_path: Path) -> None:
    host = PluginHost(write_plugin(GOOD_START.format(directory=str(tmp_path), on_shutdown="os._exit(3)")))
    with pytest.raises(PluginStopError, match="status=3"), host:
        host.ping()


def test_a_subprocess_that_holds_the_pipes_is_reported(write_plugin: WritePlugin, tmp_path: Path) -> None:
    """Velero would wait for ever."""
    source = GOOD_START.format(directory=str(tmp_path), on_shutdown="os._exit(0)")
    spawn = "import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid, file=sys.stderr, flush=True)\n"
    host = PluginHost(write_plugin(source.replace("from concurrent", f"{spawn}from concurrent", 1)))
    with pytest.raises(PluginStopError, match="pipes_held=True"), host:
        child = int(host.wait_for_log(lambda line: line.raw.isdigit()).raw)
    os.kill(child, signal.SIGKILL)


def test_an_error_in_the_test_is_not_replaced_by_one_about_the_end(write_plugin: WritePlugin, tmp_path: Path) -> None:
    host = PluginHost(write_plugin(GOOD_START.format(directory=str(tmp_path), on_shutdown="os._exit(3)")))
    with pytest.raises(ZeroDivisionError), host:
        _ = 1 / 0
    assert host.shutdown().status == 3


def test_output_after_the_handshake_is_collected(write_plugin: WritePlugin, tmp_path: Path) -> None:
    source = GOOD_START.format(directory=str(tmp_path), on_shutdown="os._exit(0)")
    with PluginHost(
        write_plugin(source.replace("threading.Event", "print('chatter', flush=True)\nthreading.Event"))
    ) as host:
        host.ping()
    assert host.stray_output() == ["chatter"]
    assert host.stray_output() == []


def test_the_environment_is_velero_s(write_plugin: WritePlugin) -> None:
    script = write_plugin(
        "import os, sys\n"
        "names = ('VELERO_PLUGIN', 'PLUGIN_MIN_PORT', 'PLUGIN_MAX_PORT', 'PLUGIN_PROTOCOL_VERSIONS', 'MINE')\n"
        "print(*(os.environ.get(name) for name in names), *sys.argv[1:], sep='/')\n"
    )
    host = PluginHost(script, ["--a", "b"], environ={"MINE": "x", "VELERO_PLUGIN": "other"})
    with pytest.raises(PluginStartError, match="hello/10000/25000/2/x/--a/b"):
        host.start()


def test_the_arguments_of_old_veleros() -> None:
    assert legacy_arguments() == ["--log-level", "info"]
    assert legacy_arguments("debug", ["X", "A"]) == ["--log-level", "debug", "--features", "A,X"]


@pytest.mark.parametrize(
    ("plugins", "text"),
    [
        ([("PluginLister", "a.io/x")], "of kind 'PluginLister', which Velero does not know"),
        ([("ItemSnapshotter", "a.io/x")], "does not know"),
        ([("ObjectStore", "x")], "is not a domain name"),
        ([("ObjectStore", "A.io/x")], "is not a domain name"),
        ([("ObjectStore", "a.io/")], "is not a domain name"),
        ([("ObjectStore", "a.io/b/c")], "is not a domain name"),
        ([("ObjectStore", "a.io/x"), ("ObjectStore", "a.io/x")], "listed twice as ObjectStore"),
    ],
)
def test_lists_that_end_velero_s_server(plugins: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(PluginAnswerError, match=text):
        check_list([PluginIdentifier("/plugins/x", kind, name) for kind, name in plugins])


def test_one_name_may_have_two_kinds_and_odd_letters() -> None:
    kinds = ("BackupItemActionV2", "RestoreItemActionV2")
    check_list([PluginIdentifier("/plugins/x", kind, "a.io/Größe_1") for kind in kinds])


def test_what_is_not_running_cannot_be_asked(tmp_path: Path) -> None:
    host = PluginHost(tmp_path / "x")
    for use in (lambda: host.pid, host.ping, host.shutdown, host.kill):
        with pytest.raises(PluginHostError, match="has not been started"):
            use()


def test_waiting_for_a_line_that_never_comes(sample_host: PluginHost) -> None:
    with pytest.raises(PluginHostError, match=r"did not log the expected line within 0.1 s"):
        sample_host.wait_for_log(lambda _line: False, timeout=0.1)


@pytest.mark.parametrize(
    ("ended", "orderly"),
    [
        (PluginExit(0, False, False, 1), True),
        (PluginExit(1, False, False, 1), False),
        (PluginExit(0, True, False, 1), False),
        (PluginExit(0, False, True, 1), False),
    ],
)
def test_what_velero_would_not_complain_about(ended: PluginExit, orderly: bool) -> None:
    assert ended.orderly is orderly


def test_exports() -> None:
    assert all(hasattr(plugin_host, name) for name in plugin_host.__all__)


def test_a_copy_of_a_plugin_is_another_command(sample: Path, tmp_path: Path) -> None:
    copy = shutil.copy2(sample, tmp_path / "copy")
    with PluginHost(copy) as host:
        assert host.list_plugins()[0].command == str(copy)
