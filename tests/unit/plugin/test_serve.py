"""The whole plugin process, started by Velero's side of the protocol in Python; the numbers are checklist points of
the protocol reference."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from tests.support.fix_velero import WritePlugin
from tests.support.sample_plugin import SampleBackup
from velero_py_plugin.plugin.serve import serve
from velero_py_plugin.testing.plugin_host import (
    Connection,
    LogLine,
    PluginCallError,
    PluginHost,
    PluginHostError,
    PluginIdentifier,
    PluginStartError,
    legacy_arguments,
)

BACKUP = {"metadata": {"name": "nightly"}}


def config_map(do: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "x"}, "spec": {"do": do}}


def said(text: str) -> Callable[[LogLine], bool]:
    return lambda line: text in line.message


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_without_the_cookie_it_explains_itself(sample: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "VELERO_PLUGIN"}
    ran = subprocess.run([sample], check=False, env=environ, capture_output=True, text=True, timeout=20)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith(f"{sample} is a Velero plugin")


def test_with_a_wrong_cookie_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VELERO_PLUGIN", "Hello")
    with pytest.raises(SystemExit, match=r"^/plugins/x is a Velero plugin"):
        serve({"example.io/x": SampleBackup}, argv=["/plugins/x"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        legacy_arguments("warning"),
        legacy_arguments("debug", ["X", "EnableCSI"]),
        ["--features=EnableCSI", "--uploader-type=kopia", "--restore-only", "-v", "4", "--namespace", "ns", "--bogus"],
    ],
)
def test_it_starts_lists_and_stops_in_silence(sample: Path, arguments: list[str]) -> None:
    with PluginHost(sample, arguments) as host:
        host.ping()
        assert host.list_plugins() == tuple(
            PluginIdentifier(str(sample), kind, name)
            for kind, name in (
                ("BackupItemActionV2", "example.io/backup"),
                ("BackupItemActionV2", "example.io/a-plain"),
                ("BackupItemActionV2", "example.io/unready"),
                ("RestoreItemActionV2", "example.io/restore"),
            )
        )
        ended = host.shutdown()
    assert ended.orderly
    assert ended.seconds < 2
    assert host.stray_output() == []
    assert [line for line in host.log_lines if line.level != "debug"] == []


def test_a_bare_environment_is_enough(sample: Path, socket_directory: Path) -> None:
    environ = {"TMPDIR": str(socket_directory), "LD_LIBRARY_PATH": "/plugins"}
    with PluginHost(sample, environ=environ) as host:
        assert len(host.list_plugins()) == 4
        assert len(list(socket_directory.iterdir())) == 1
    assert list(socket_directory.iterdir()) == []


def test_a_directory_without_room_for_a_socket(sample: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    host = PluginHost(sample, environ={"TMPDIR": str(deep)})
    with pytest.raises(PluginStartError, match="set TMPDIR to a shorter directory"):
        host.start()


def test_the_command_is_the_path_that_was_executed(sample: Path, tmp_path: Path) -> None:
    link, copy = tmp_path / "link", tmp_path / "copy"
    link.symlink_to(sample)
    shutil.copy2(sample, copy)
    for path in (link, copy):
        with PluginHost(path) as host:
            assert {plugin.command for plugin in host.list_plugins()} == {str(path)}


def test_a_console_script_as_pip_writes_it(write_plugin: WritePlugin, tmp_path: Path) -> None:
    module = "from tests.support.sample_plugin import SampleBackup\nfrom velero_py_plugin.plugin.serve import serve\n"
    (tmp_path / "installed.py").write_text(f"{module}def main():\n    serve({{'example.io/x': SampleBackup}})\n")
    root = Path(__file__).parents[3]
    script = write_plugin(
        "# -*- coding: utf-8 -*-\nimport re\nimport sys\n"
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}]\n"
        "from installed import main\n"
        "if __name__ == '__main__':\n"
        "    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n"
        "    sys.exit(main())\n"
    )
    with PluginHost(script) as host:
        assert host.list_plugins() == (PluginIdentifier(str(script), "BackupItemActionV2", "example.io/x"),)


def test_every_call(sample_host: PluginHost) -> None:
    action = sample_host.backup_item_action("example.io/backup")
    assert action.applies_to() == SampleBackup().applies_to()
    assert action.execute(config_map("change"), BACKUP).operation_id == "op-1"
    assert action.progress("op-1", BACKUP).n_completed == 3
    action.cancel("op-1", BACKUP)
    restore = sample_host.restore_item_action("example.io/restore")
    assert restore.applies_to().included_resources == ("persistentvolumeclaims",)
    assert restore.execute(config_map("skip"), {}, {}).skip_restore
    assert restore.progress("op-2", {}).error == "disk full"
    restore.cancel("op-2", {})
    assert not restore.are_additional_items_ready((), {})


def test_shutdown_while_32_calls_block(sample: Path) -> None:
    with PluginHost(sample) as host, futures.ThreadPoolExecutor(32) as pool:
        action = host.backup_item_action("example.io/backup")
        calls = [pool.submit(action.execute, config_map("block"), BACKUP) for _ in range(32)]
        wait_until(lambda: sum(map(said("blocking"), host.log_lines)) == 32)
        assert len(host.list_plugins()) == 4
        ended = host.shutdown()
        for call in calls:
            with pytest.raises(PluginCallError):
                call.result()
    assert ended.orderly
    assert ended.seconds < 2


def test_sigkill_closes_the_pipes_even_with_a_subprocess_alive(sample: Path) -> None:
    with PluginHost(sample) as host:
        host.backup_item_action("example.io/backup").execute(config_map("leave a subprocess"), BACKUP)
        child = int(host.wait_for_log(said("subprocess ")).message.split()[1])
        try:
            assert not host.kill().pipes_held
            os.kill(child, 0)  # still there
        finally:
            os.kill(child, signal.SIGKILL)


def test_shutdown_is_orderly_even_with_a_subprocess_alive(sample: Path) -> None:
    with PluginHost(sample) as host:
        host.backup_item_action("example.io/backup").execute(config_map("leave a subprocess"), BACKUP)
        child = int(host.wait_for_log(said("subprocess ")).message.split()[1])
        try:
            assert host.shutdown().orderly
        finally:
            os.kill(child, signal.SIGKILL)


def test_sigint_is_ignored_and_sigterm_obeyed(sample: Path, socket_directory: Path) -> None:
    with PluginHost(sample) as host:
        assert len(list(socket_directory.iterdir())) == 1
        os.kill(host.pid, signal.SIGINT)
        host.ping()
        os.kill(host.pid, signal.SIGTERM)
        wait_until(lambda: list(socket_directory.iterdir()) == [])
        assert host.shutdown().status == 0


def test_it_ends_when_its_host_dies(sample: Path, socket_directory: Path) -> None:
    program = (
        "import os, sys\n"
        "from velero_py_plugin.testing.plugin_host import PluginHost\n"
        "host = PluginHost(sys.argv[1], ['--log-level=debug'])\n"
        "host.start()\n"
        "print(host.pid, len(os.listdir(os.environ['TMPDIR'])), flush=True)\n"
        "os._exit(0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, sample], capture_output=True, check=True, timeout=20)
    assert ran.stdout.split()[1] == b"1"
    wait_until(lambda: list(socket_directory.iterdir()) == [])


def test_a_second_connection_after_the_first(sample_host: PluginHost) -> None:
    target = sample_host.connection.target
    for _ in range(2):
        other = Connection(target, call_timeout=10)
        other.close()
    assert len(sample_host.list_plugins()) == 4


def test_an_action_that_cannot_start_yet(sample: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with PluginHost(sample, environ={**os.environ, "SAMPLE_READY_FILE": str(ready)}) as host:
        action = host.backup_item_action("example.io/unready")
        with pytest.raises(PluginCallError, match=r"code = Unknown desc = .*No such file") as caught:
            action.applies_to()
        assert caught.value.stack[0].function == "Unready.__init__"
        ready.touch()
        action.applies_to()


def test_what_an_action_says_becomes_velero_s_log(sample_host: PluginHost) -> None:
    action = sample_host.backup_item_action("example.io/backup")
    action.execute(config_map("say"), BACKUP)
    for text in ("printed", "complained", "from a subprocess", "and its errors", "strange value"):
        assert sample_host.wait_for_log(said(text)).level == "info"
    action.execute(config_map("raise elsewhere"), BACKUP)
    line = sample_host.wait_for_log(said("uncaught exception in thread worker"))
    assert (line.level, line.fields["error"]) == ("error", "in a thread")
    line = sample_host.wait_for_log(lambda line: line.fields.get("error") == "in a destructor")
    assert line.level == "error"
    sample_host.shutdown()
    assert all(line.structured and not line.fatal and not line.fatal_during_backup for line in sample_host.log_lines)
    assert sample_host.stray_output() == []


def test_hostile_fields_do_not_kill_velero(sample: Path) -> None:
    with PluginHost(sample, ["--log-level", "debug"]) as host:
        host.backup_item_action("example.io/backup").execute(config_map("log"), BACKUP)
        line = host.wait_for_log(said("about an object"))
        host.wait_for_log(said("details"))
    assert line.fatal_during_backup == ""
    assert line.fields["namespace"] == "None"
    assert line.fields["fields.level"] == "high"
    assert line.fields["logSource"].startswith(str(sample))


def test_a_bug_logs_its_traceback_without_a_second_error(sample_host: PluginHost) -> None:
    with pytest.raises(PluginCallError, match="plugin panicked"):
        sample_host.backup_item_action("example.io/backup").execute(config_map("bug"), BACKUP)
    line = sample_host.wait_for_log(said("an action failed unexpectedly"))
    assert line.level == "info"
    assert "KeyError: 'missing'" in line.fields["traceback"]


def test_an_exception_in_main_is_an_error_line_and_status_1(write_plugin: WritePlugin) -> None:
    script = write_plugin("from velero_py_plugin.plugin.serve import serve\nserve({'bad name': int})\n")
    host = PluginHost(script)
    with pytest.raises(PluginStartError, match="does not begin with a domain name"):
        host.start()
    (line,) = host.log_lines
    assert (line.level, line.message) == ("error", "uncaught exception")
    with pytest.raises(PluginHostError):
        _ = host.connection


def test_an_exception_in_an_asyncio_task_is_an_error_line(write_plugin: WritePlugin) -> None:
    script = write_plugin(
        "import asyncio\n"
        "from velero_py_plugin.plugin import kinds\n"
        "from velero_py_plugin.plugin.serve import serve\n"
        "async def fail():\n"
        "    raise ValueError('in a task')\n"
        "async def spawn():\n"
        "    asyncio.create_task(fail())\n"
        "    await asyncio.sleep(0)\n"
        "class Async(kinds.BackupItemActionV2):\n"
        "    def applies_to(self):\n"
        "        asyncio.run(spawn())\n"
        "        return kinds.ResourceSelector()\n"
        "    def execute(self, request):\n"
        "        return kinds.BackupItemActionResult()\n"
        "serve({'example.io/async': Async})\n"
    )
    with PluginHost(script) as host:
        host.backup_item_action("example.io/async").applies_to()
        line = host.wait_for_log(lambda line: line.fields.get("error") == "in a task")
    assert line.level == "error"


def test_many_threads_and_processes_at_once(sample: Path) -> None:
    def drive(_number: int) -> set[str]:
        with PluginHost(sample) as host, futures.ThreadPoolExecutor(8) as pool:
            action = host.backup_item_action("example.io/backup")
            results = pool.map(lambda _: action.execute(config_map("change"), BACKUP), range(40))
            return {result.operation_id for result in results}

    with futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(drive, range(3))) == [{"op-1"}] * 3


def test_applies_to_after_a_crash_needs_nothing_from_before(sample: Path) -> None:
    with PluginHost(sample) as host:
        host.backup_item_action("example.io/backup").applies_to()
        host.kill()
    with PluginHost(sample) as host:
        assert host.backup_item_action("example.io/backup").progress("op-1", {}).n_completed == 3
