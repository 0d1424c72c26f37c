"""The real Velero server with our plugin and our controller, and an application to back up."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.process import find_peers
from tests.support.velero_application import Application
from tests.support.velero_server import PEERS, VeleroServer
from velero_py_plugin import errors

_LOGS: Final = pytest.StashKey[Path]()
_SERVER: Final = pytest.StashKey[VeleroServer]()
_SHOWN_LINES: Final = 40
_SHOWN_CHARACTERS: Final = 400


@pytest.fixture(scope="session")
def velero_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VeleroServer]:
    """Velero at work, for the whole run; each test brings namespaces of its own."""
    binaries = find_peers("build.sh", *PEERS)
    logs = request.session.stash[_LOGS] = tmp_path_factory.mktemp("velero-server")
    # A run that is told to end still ends everything it started.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with VeleroServer(binaries, logs) as server:
            request.session.stash[_SERVER] = server
            yield server
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def application(velero_server: VeleroServer) -> Application:
    """A namespace with a claim full of files."""
    return Application(velero_server)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows with a failure what every process of ``velero_server`` wrote last, and how Velero's objects do."""
    report = yield
    logs = item.session.stash.get(_LOGS, None)
    if report.failed and logs and "velero_server" in getattr(item, "fixturenames", ()):
        paths = sorted(logs.iterdir())
        if server := item.session.stash.get(_SERVER, None):
            paths.append(server.folder / "s3" / "weed.log")
            report.sections.append(("Velero's objects", _objects(server)))
        report.sections += [(f"last lines of {path}", _last_lines(path)) for path in paths if path.exists()]
    return report


def _objects(server: VeleroServer) -> str:
    try:
        return "\n".join(server.objects())
    except errors.Error as error:
        return f"not to be had: {error}"


def _last_lines(path: Path) -> str:
    lines: Iterable[str] = path.read_text(errors="replace").splitlines()
    if path.name == "velero.log":
        lines = filter(None, map(_telling, lines))
    return "\n".join(line[:_SHOWN_CHARACTERS] for line in [*lines][-_SHOWN_LINES:])


def _telling(line: str) -> str:
    """What a line of Velero's log says; nothing when Velero's own code tells of its progress, as it does at length."""
    if not line.startswith("{"):
        return line
    entry = json.loads(line)
    if entry["level"] == "debug" or (entry["level"] == "info" and "pluginName" not in entry):
        return ""
    return " ".join(str(entry[key]) for key in ("time", "level", "pluginName", "msg", "error") if key in entry)
