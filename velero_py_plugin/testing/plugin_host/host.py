"""The plugin process as Velero's server sees it: start, handshake, list, log, stop.

Follows hashicorp/go-plugin v1.7.0 ``client.go`` and velero v1.18.3 ``pkg/plugin/clientmgmt/process``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Final, Self

from velero_py_plugin._pb.goplugin import health_pb2
from velero_py_plugin._pb.velero import plugin_lister_pb2, shared_pb2
from velero_py_plugin.plugin.registry import is_dns_subdomain
from velero_py_plugin.plugin.serve import COOKIE, PROTOCOL_VERSION
from velero_py_plugin.testing.plugin_host.actions import BackupItemActionClient, RestoreItemActionClient
from velero_py_plugin.testing.plugin_host.connection import Connection
from velero_py_plugin.testing.plugin_host.errors import (
    PluginAnswerError,
    PluginHostError,
    PluginStartError,
    PluginStopError,
)
from velero_py_plugin.testing.plugin_host.handshake import parse_handshake
from velero_py_plugin.testing.plugin_host.log import LINE_BUFFER_BYTES, LogLine, LogReader

START_SECONDS: Final = 60.0
"""How long Velero waits for the handshake line."""
STOP_SECONDS: Final = 2.0
"""How long Velero waits after ``Shutdown`` before it kills."""
PIPE_SECONDS: Final = 1.0
"""How long this host waits for the pipes of a dead process to end; Velero waits for ever."""

KINDS: Final = frozenset(
    {
        "BackupItemAction",
        "BackupItemActionV2",
        "DeleteItemAction",
        "ItemBlockAction",
        "ObjectStore",
        "RestoreItemAction",
        "RestoreItemActionV2",
        "VolumeSnapshotter",
    }
)
"""Every kind that Velero >= 1.15 knows; one it does not know ends its server."""


@dataclasses.dataclass(frozen=True)
class PluginIdentifier:
    """One entry of a plugin's list.

    Attributes:
        command: What Velero will execute to use it.
        kind: Velero's word for the kind.
        name: The full name.
    """

    command: str
    kind: str
    name: str


@dataclasses.dataclass(frozen=True)
class PluginExit:
    """How a plugin process ended.

    Attributes:
        status: Exit status; negative: the signal that ended it.
        killed: Whether this host killed it, because it was asked to or because two seconds had passed since
            ``Shutdown``.
        pipes_held: Whether something, a subprocess of the plugin perhaps, keeps its standard output or standard error
            open: Velero would wait for it for ever.
        seconds: How long the end took.
    """

    status: int
    killed: bool
    pipes_held: bool
    seconds: float

    @property
    def orderly(self) -> bool:
        """Whether Velero would have nothing to complain about."""
        return self.status == 0 and not self.killed and not self.pipes_held


def legacy_arguments(log_level: str = "info", features: Sequence[str] = ()) -> list[str]:
    """The arguments that Velero <= 1.14 gives a plugin; newer ones pass what followed ``velero server``."""
    enabled = ["--features", ",".join(sorted(features))] if features else []
    return ["--log-level", log_level, *enabled]


class PluginHost:
    """One plugin process and the connection to it.

    A context manager: starts the process on entry; on exit stops it, unless that has been done, and raises
    ``PluginStopError`` if it does not end in good order. Calls may be made from several threads.

    Args:
        command: Path of the plugin's executable; Velero always gives it in full.
        arguments: What follows it: the arguments of ``velero server``.
        environ: Velero's own environment; this process' when None. The handshake's variables are added.
        start_timeout: Seconds to wait for the handshake line.
        call_timeout: Seconds to wait for an answer. Velero has no such limit and would wait for ever.
    """

    def __init__(
        self,
        command: str | os.PathLike[str],
        arguments: Sequence[str] = (),
        *,
        environ: Mapping[str, str] | None = None,
        start_timeout: float = START_SECONDS,
        call_timeout: float = 60.0,
    ) -> None:
        self.command = os.fspath(command)
        self._arguments = tuple(arguments)
        self._environ = dict(os.environ if environ is None else environ)
        self._start_timeout = start_timeout
        self._call_timeout = call_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._exit: PluginExit | None = None
        self._readers: list[threading.Thread] = []
        self._stdout_lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._log: list[LogLine] = []
        self._log_grew = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._exit is not None:
            return  # whoever ended it knows how
        ended = self.shutdown()
        if error is None and not ended.orderly:
            raise PluginStopError(f"{self.command} did not end in good order: {ended}")

    def start(self) -> None:
        """Starts the process, shakes hands and connects, as Velero does.

        Raises:
            PluginStartError: The process did not come up; what there was of it has been killed.
        """
        environ = {
            **self._environ,
            COOKIE[0]: COOKIE[1],
            "PLUGIN_MIN_PORT": "10000",
            "PLUGIN_MAX_PORT": "25000",
            "PLUGIN_PROTOCOL_VERSIONS": str(PROTOCOL_VERSION),
        }
        try:
            self._process = subprocess.Popen(
                [self.command, *self._arguments],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise PluginStartError(f"{self.command} cannot be executed: {error}") from error
        self._readers = [
            threading.Thread(target=self._read_stdout, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_stderr, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._readers:
            thread.start()
        try:
            self._connection = Connection(parse_handshake(self._first_line()), self._call_timeout)
        except PluginStartError:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Process id of the plugin."""
        return self._running.pid

    @property
    def connection(self) -> Connection:
        """The connection, for calls this class has no method for."""
        if self._connection is None:
            raise PluginHostError(f"{self.command} has not been started")
        return self._connection

    @property
    def log_lines(self) -> list[LogLine]:
        """What the plugin has logged so far, in Velero's reading."""
        with self._log_grew:
            return list(self._log)

    def wait_for_log(self, matches: Callable[[LogLine], bool], timeout: float = 10.0) -> LogLine:
        """Waits for a log line.

        Raises:
            PluginHostError: No such line within ``timeout`` seconds.
        """
        with self._log_grew:
            line = self._log_grew.wait_for(lambda: next(filter(matches, self._log), None), timeout)
        if line is None:
            raise PluginHostError(f"{self.command} did not log the expected line within {timeout} s")
        return line

    def stray_output(self) -> list[str]:
        """Takes what the plugin wrote to standard output after the handshake; Velero throws it away.

        Lines longer than 64 KiB, which come in pieces here, stop Velero's reader: a plugin that goes on writing hangs.
        """
        lines = []
        with contextlib.suppress(queue.Empty):
            while line := self._stdout_lines.get_nowait():
                lines.append(line.decode("utf-8", "replace").rstrip("\n"))
        return lines

    def ping(self) -> None:
        """Asks the health service.

        Raises:
            PluginAnswerError: The plugin is not serving.
            PluginCallError: It has no such service.
        """
        request = health_pb2.HealthCheckRequest(service="plugin")
        answer = self.connection.call(health_pb2.DESCRIPTOR, "Health", "Check", request)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise PluginAnswerError(f"the health service answers {answer.status}")

    def list_plugins(self) -> tuple[PluginIdentifier, ...]:
        """Asks what the plugin has to offer.

        Raises:
            PluginAnswerError: Velero's server would end because of this list.
            PluginCallError: The plugin answered with an error.
        """
        answer = self.connection.call(plugin_lister_pb2.DESCRIPTOR, "PluginLister", "ListPlugins", shared_pb2.Empty())
        plugins = tuple(PluginIdentifier(entry.command, entry.kind, entry.name) for entry in answer.plugins)
        check_list(plugins)
        return plugins

    def backup_item_action(self, name: str) -> BackupItemActionClient:
        """A backup item action, version 2, by its full name."""
        return BackupItemActionClient(self.connection, name)

    def restore_item_action(self, name: str) -> RestoreItemActionClient:
        """A restore item action, version 2, by its full name."""
        return RestoreItemActionClient(self.connection, name)

    def shutdown(self) -> PluginExit:
        """Stops the process as Velero does: ``Shutdown``, two seconds, SIGKILL. Harmless when repeated."""
        if self._exit is None:
            began = time.monotonic()
            self.connection.ask_to_shut_down()
            try:
                self._running.wait(STOP_SECONDS)
                self._exit = self._end(began)
            except subprocess.TimeoutExpired:
                self._exit = self._end(began, kill=True)
        return self._exit

    def kill(self) -> PluginExit:
        """Ends the process with SIGKILL, as a crash would. Harmless when repeated."""
        if self._exit is None:
            self._exit = self._end(time.monotonic(), kill=True)
        return self._exit

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise PluginHostError(f"{self.command} has not been started")
        return self._process

    def _end(self, began: float, *, kill: bool = False) -> PluginExit:
        process = self._running
        if kill:
            process.kill()
        status = process.wait()
        seconds = time.monotonic() - began
        if self._connection is not None:
            self._connection.close()
        deadline = time.monotonic() + PIPE_SECONDS
        for thread in self._readers:
            thread.join(max(0.0, deadline - time.monotonic()))
        held = any(thread.is_alive() for thread in self._readers)
        return PluginExit(status, kill, held, seconds)

    def _read_stdout(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(LINE_BUFFER_BYTES):
                self._stdout_lines.put(line)
        self._stdout_lines.put(b"")

    def _read_stderr(self, pipe: IO[bytes]) -> None:
        reader = LogReader()
        with pipe:
            while chunk := pipe.readline(LINE_BUFFER_BYTES):
                line = reader.read(chunk)
                with self._log_grew:
                    self._log.append(line)
                    self._log_grew.notify_all()

    def _first_line(self) -> str:
        try:
            line = self._stdout_lines.get(timeout=self._start_timeout)
        except queue.Empty:
            raise PluginStartError("timeout while waiting for plugin to start") from None
        if not line:
            self._readers[1].join(PIPE_SECONDS)
            said = " / ".join(entry.raw for entry in self.log_lines[-5:]) or "nothing"
            raise PluginStartError(f"plugin ended its output before a handshake line; its last words: {said}")
        return line.decode("utf-8", "replace")


def check_list(plugins: Sequence[PluginIdentifier]) -> None:
    """Checks a plugin's list by the rules of Velero's registry.

    Raises:
        PluginAnswerError: Velero's server would end because of it.
    """
    seen = set()
    for plugin in plugins:
        prefix, _, rest = plugin.name.partition("/")
        if plugin.kind not in KINDS:
            raise PluginAnswerError(f"{plugin.name} is of kind {plugin.kind!r}, which Velero does not know")
        if not is_dns_subdomain(prefix) or not rest or "/" in rest:
            raise PluginAnswerError(f"{plugin.name!r} is not a domain name, one slash and a name")
        if (plugin.kind, plugin.name) in seen:
            raise PluginAnswerError(f"{plugin.name} is listed twice as {plugin.kind}")
        seen.add((plugin.kind, plugin.name))
