"""The real kopia, newest and oldest supported, as a peer of the repository format."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import boto3.session
import pytest

from velero_py_plugin.kopia.blob.location import S3Location, parse_location

#: Program of each version.
PROGRAMS = {"0.16.0": "kopia-0.16", "0.23.1": "kopia"}
NEWEST = "0.23.1"

_TIMEOUT = 240.0


class KopiaError(Exception):
    """kopia ended with an error; the text is what it said."""


class Kopia:
    """One installation of kopia: its own home, configuration, caches and logs, and no network but the store.

    Args:
        version: One of ``PROGRAMS``.
        home: An empty folder.
        password: The repository password.

    Attributes:
        version: See above.
        password: See above; may be changed.
        user: The user whose snapshots it makes.
        host: The host whose snapshots it makes.
    """

    user = "tester"
    host = "testhost"

    def __init__(self, version: str, home: Path, password: str = "correct horse battery staple") -> None:
        self.version = version
        self.password = password
        self._program = _find_program(PROGRAMS[version])
        self._home = home
        self._store_keys: dict[str, str] = {}

    def run(self, *arguments: str | os.PathLike[str]) -> bytes:
        """Runs one command and returns its output.

        Raises:
            KopiaError: It failed.
        """
        command = [
            self._program,
            *arguments,
            f"--config-file={self._home}/repository.config",
            f"--log-dir={self._home}/logs",
            "--no-progress",
            "--no-use-keyring",
            "--no-persist-credentials",
        ]
        environ = {
            "HOME": str(self._home),
            "PATH": os.defpath,
            "KOPIA_PASSWORD": self.password,
            "KOPIA_CACHE_DIRECTORY": f"{self._home}/cache",
            "KOPIA_CHECK_FOR_UPDATES": "false",
            # Deleting single blobs and the like; the first name is the one of old versions.
            "KOPIA_ADVANCED_COMMANDS": "enabled",
            "KOPIA_DANGEROUS_COMMANDS": "enabled",
            **self._store_keys,
        }
        result = subprocess.run(command, env=environ, capture_output=True, timeout=_TIMEOUT, check=False)
        if result.returncode != 0:
            words = " ".join(str(argument) for argument in arguments)
            raise KopiaError(f"kopia {words} ended with {result.returncode}:\n{result.stderr.decode(errors='replace')}")
        return result.stdout

    def run_json(self, *arguments: str | os.PathLike[str]) -> Any:
        """Runs one command and returns the JSON that it prints."""
        return json.loads(self.run(*arguments, "--json"))

    def create(self, url: str, *options: str) -> None:
        """Creates a repository at one of our repository URLs and connects to it.

        The keys of an S3 store are taken from where boto3 finds them.
        """
        self._open("create", url, options)

    def connect(self, url: str, *options: str) -> None:
        """Connects to the repository at one of our repository URLs."""
        self._open("connect", url, options)

    def snapshot(self, path: str | os.PathLike[str], *options: str) -> dict[str, Any]:
        """Backs a folder up and returns the snapshot manifest."""
        manifest: dict[str, Any] = self.run_json("snapshot", "create", path, *options)
        return manifest

    def restore(self, source: str, target: str | os.PathLike[str], *options: str) -> None:
        """Restores a snapshot id or object id to a folder."""
        self.run("restore", source, target, *options)

    def verify(self, *options: str) -> None:
        """Reads every file of every snapshot."""
        self.run("snapshot", "verify", "--verify-files-percent=100", *options)

    def content_verify(self, *options: str) -> None:
        """Reads and checks every content."""
        self.run("content", "verify", "--full", *options)

    def maintenance(self, *, full: bool = True, safety: str = "full") -> None:
        """Takes maintenance over and runs it; safety ``none`` does not wait for other clients."""
        self.run("maintenance", "set", "--owner=me")
        self.run("maintenance", "run", f"--safety={safety}", "--full" if full else "--no-full")

    def snapshots(self) -> list[dict[str, Any]]:
        """Returns the manifests of all snapshots of all sources."""
        manifests: list[dict[str, Any]] = self.run_json("snapshot", "list", "--all")
        return manifests

    def show(self, object_id: str) -> bytes:
        """Returns the bytes of an object."""
        return self.run("show", object_id)

    def _open(self, action: str, url: str, options: tuple[str, ...]) -> None:
        location = parse_location(url)
        identity = [f"--override-username={self.user}", f"--override-hostname={self.host}"]
        if not isinstance(location, S3Location):
            self.run("repository", action, "filesystem", f"--path={location.path}", *identity, *options)
            return
        keys = boto3.session.Session().get_credentials().get_frozen_credentials()
        self._store_keys = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
        scheme, _, server = location.endpoint.partition("://")
        settings = [f"--bucket={location.bucket}", f"--prefix={location.prefix}", f"--endpoint={server}"]
        settings += [f"--region={location.region}"] if location.region else []
        settings += ["--disable-tls"] if scheme == "http" else []
        self.run("repository", action, "s3", *settings, *identity, *options)


@pytest.fixture
def kopia(tmp_path: Path) -> Kopia:
    """The newest kopia, not connected to a repository."""
    return _install(NEWEST, tmp_path)


@pytest.fixture(params=sorted(PROGRAMS))
def any_kopia(request: pytest.FixtureRequest, tmp_path: Path) -> Kopia:
    """Each supported kopia in turn, not connected to a repository."""
    return _install(request.param, tmp_path)


def _install(version: str, folder: Path) -> Kopia:
    home = folder / f"kopia-{version}"
    home.mkdir()
    return Kopia(version, home)


def _find_program(name: str) -> Path:
    binaries = Path(os.environ.get("PEERS_BIN") or Path.home() / ".cache/velero-py-plugin/peers/bin")
    path = binaries / name
    if not path.exists():
        message = f"{name} is missing: build it with tests/peers/kopia/build.sh"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path
