from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.cli.conftest import PASSWORD, Run
from tests.unit.kopia.sample import describe
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.snapshot import snapshot_manifest

STATUS = [
    *("location", "uniqueID", "formatVersion", "hash", "encryption", "splitter"),
    *("contents", "snapshots", "latestSnapshot"),
]


def test_what_was_created_is_shown(velero_py: Run, url: str, password_file: Path, tmp_path: Path) -> None:
    place = ("repo", "--repository", url, "--password-file", password_file)
    created = velero_py(*place, "create", "-o", "json").json()
    assert list(created) == STATUS
    assert (created["formatVersion"], created["snapshots"], created["latestSnapshot"]) == (3, 0, "")
    assert str(tmp_path / "repository") in created["location"]
    assert velero_py(*place, "status", "-o", "json").json() == created
    shown = velero_py(*place, "status").out
    assert re.search(r"^hash: +BLAKE2B-256-128$", shown, re.MULTILINE)
    with kopia_repository.open_repository(FilesystemStorage(tmp_path / "repository"), PASSWORD):
        pass  # the password is the file's without white space


def test_nothing_is_created_twice(repo: Run) -> None:
    ended = repo("create")
    assert ended.code == 1
    assert ended.err.startswith("Error: a repository can only be created in an empty place")
    assert ended.err.endswith("[RepositoryExists]\n")


def test_a_folder_goes_there_and_back(repo: Run, volume: Path, tmp_path: Path) -> None:
    backed_up = repo("backup", volume, "--description", "why", "--tag", "a=b=c", "-o", "json").json()
    assert backed_up["description"] == "why"
    assert backed_up["tags"] == {"tag:a": "b=c"}
    assert backed_up["source"]["path"] == str(volume)
    assert (backed_up["bytesRead"], backed_up["rootEntry"]["summ"]["files"]) == (10, 2)
    assert backed_up["bytesStored"] > 0
    restored = repo("restore", "latest", tmp_path / "target", "-o", "json").json()
    counts = {"files": 2, "directories": 2, "symlinks": 1, "bytes_written": 10}
    assert restored == {**counts, "attributes_not_restored": 0}
    assert describe(tmp_path / "target") == describe(volume)


def test_people_get_sentences(repo: Run, volume: Path, tmp_path: Path) -> None:
    assert re.fullmatch(
        r"snapshot [0-9a-f]{32}: 2 files, 10 B; read 10 B, stored [0-9.]+ kB\n", repo("backup", volume).out
    )
    again = repo("backup", volume).out
    assert "read 0 B" in again
    restored = repo("restore", "latest", tmp_path / "target")
    assert restored.out == f"restored 2 files, 2 folders, 1 links, 10 B to {tmp_path}/target\n"
    assert restored.err == ""


def test_an_unchanged_folder_is_not_read_again_and_another_one_is(repo: Run, volume: Path, tmp_path: Path) -> None:
    repo("backup", volume)
    assert repo("backup", volume, "-o", "json").json()["stats"]["cachedFiles"] == 3
    shutil.copytree(volume, tmp_path / "copy", symlinks=True)
    assert repo("backup", tmp_path / "copy", "-o", "json").json()["stats"]["cachedFiles"] == 0


def test_snapshots_are_listed(repo: Run, volume: Path) -> None:
    assert repo("snapshots", "-o", "json").json() == []
    first = repo("backup", volume, "-o", "json").json()
    second = repo("backup", volume, "-o", "json").json()
    listed = repo("snapshots", "-o", "json").json()
    assert [snapshot["id"] for snapshot in listed] == [first["id"], second["id"]]
    assert listed[0] == {key: value for key, value in first.items() if not key.startswith("bytes")}
    table = repo("snapshots").out.splitlines()
    assert table[0].split() == ["SNAPSHOT", "TAKEN", "FILES", "SIZE", "STATE", "SOURCE"]
    assert table[1].startswith(first["id"])
    assert "complete" in table[1]
    assert table[1].endswith(str(volume))
    assert len(table) == 3


def test_folders_are_listed(repo: Run, volume: Path) -> None:
    (volume / "file").chmod(0o4750)
    snapshot = repo("backup", volume, "-o", "json").json()["id"]
    for name in ("latest", snapshot):
        assert [entry["path"] for entry in repo("ls", name, "-o", "json").json()] == ["below", "file", "link"]
    listed = repo("ls", "latest").out.splitlines()
    assert re.match(rf"-rwsr-x--- +{os.getuid()} +{os.getgid()} +5 \d{{4}}-\d\d-\d\d .* file$", listed[1])
    assert listed[0].startswith("drwx")
    assert listed[2].startswith("lrwx")
    recursive = [line.split()[-1] for line in repo("ls", "-r", "latest").out.splitlines()]
    assert sorted(recursive) == ["below", "below/deep", "file", "link"]
    assert [line.split()[-1] for line in repo("ls", "latest/below").out.splitlines()] == ["deep"]
    assert [line.split()[-1] for line in repo("ls", "latest/below/deep").out.splitlines()] == ["deep"]


def test_names_are_safe_to_print_and_times_of_any_year(repo: Run, volume: Path) -> None:
    path = os.fsencode(volume) + b"/\x1b[31m\xff\n\xc3\xa9"
    os.close(os.open(path, os.O_CREAT))
    os.utime(path, ns=(-1, -(10**18)))
    repo("backup", volume)
    assert repo("ls", "latest").out.splitlines()[-3].endswith("\\x1b[31m\\xff\\né")
    entry = repo("ls", "latest", "-o", "json").json()[1]
    assert entry["path"] == entry["name"] == "\\x1b[31m\\xff\\né"


def test_a_folder_whose_name_is_not_utf_8_can_be_shown(repo: Run, volume: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    volume.rename(odd)
    assert repo("backup", odd, "-o", "json").json()["rootEntry"]["name"] == "caf\\xe9"
    assert repo("snapshots", "-o", "json").code == 0
    assert repo("snapshots").code == 0
    target = tmp_path / "target"
    assert repo("restore", "latest", target).code == 0
    assert describe(target) == describe(odd)


def test_a_file_is_written_to_standard_output(repo: Run, volume: Path) -> None:
    (volume / "binary").write_bytes(bytes(range(256)) * 10_000)
    repo("backup", volume)
    assert repo("cat", "latest/below/deep").out == "deep\n"
    assert len(repo("cat", "latest/binary").out.encode(errors="surrogateescape")) == 2_560_000


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("latest", 2, "'latest' is a folder [InvalidArgument]"),
        ("latest/below", 2, "'latest/below' is a folder [InvalidArgument]"),
        ("latest/missing", 1, "the snapshot has no 'missing': 'missing' is missing [SnapshotNotFound]"),
        ("0123/file", 1, "the repository has no snapshot '0123'; it has 1 others [SnapshotNotFound]"),
    ],
)
def test_what_is_no_file_cannot_be_written_to_standard_output(
    repo: Run, volume: Path, path: str, code: int, message: str
) -> None:
    repo("backup", volume)
    ended = repo("cat", path)
    assert (ended.code, ended.err, ended.out) == (code, f"Error: {message}\n", "")


def test_a_part_of_a_snapshot_is_restored(repo: Run, volume: Path, tmp_path: Path) -> None:
    repo("backup", volume)
    repo("restore", "latest/below", tmp_path / "folder")
    assert describe(tmp_path / "folder") == describe(volume / "below")
    repo("restore", "latest/below/deep", tmp_path / "file")
    assert (tmp_path / "file" / "deep").read_bytes() == b"deep\n"


def test_a_target_that_is_not_empty_needs_a_word(repo: Run, volume: Path, tmp_path: Path) -> None:
    repo("backup", volume)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_bytes(b"old")
    refused = repo("restore", "latest", tmp_path / "target")
    assert refused.code == 1
    assert "is not empty" in refused.err
    assert "--overwrite" in refused.err
    assert (tmp_path / "target" / "file").read_bytes() == b"old"
    assert repo("restore", "latest", tmp_path / "target", "--overwrite").code == 0
    assert describe(tmp_path / "target") == describe(volume)


def test_holes_come_back_when_asked_for(repo: Run, volume: Path, tmp_path: Path) -> None:
    os.truncate(volume / "file", 5_000_000)
    repo("backup", volume)
    repo("restore", "latest", tmp_path / "target", "--write-sparse-files")
    assert (tmp_path / "target" / "file").stat().st_blocks < 100
    assert describe(tmp_path / "target") == describe(volume)


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        ("password", 1, "the password is wrong, or its format blob is damaged [RepositoryWrongPassword]"),
        ("empty password", 2, "is empty [InvalidArgument]"),
        ("no password", 2, "cannot be read: No such file or directory [InvalidArgument]"),
        ("no folder", 1, "does not exist or is no folder; mount it or correct the path. [StorageRefused]"),
        ("empty folder", 1, "it has no blob kopia.repository [RepositoryNotFound]"),
    ],
)
@pytest.mark.parametrize("words", [("status",), ("snapshots",), ("restore", "latest", "/nonexistent/target")])
def test_what_is_wrong_is_said_in_a_sentence(
    repo: Run, tmp_path: Path, password_file: Path, words: tuple[str, ...], change: str, code: int, sentence: str
) -> None:
    match change:
        case "password":
            password_file.write_text("another")
        case "empty password":
            password_file.write_text(" \n")
        case "no password":
            password_file.unlink()
        case "no folder":
            shutil.rmtree(tmp_path / "repository")
        case "empty folder":
            shutil.rmtree(tmp_path / "repository")
            (tmp_path / "repository").mkdir()
    ended = repo(*words)
    assert ended.code == code
    assert ended.err.startswith("Error: ")
    assert ended.err.endswith(f"{sentence}\n")
    assert PASSWORD not in ended.err
    assert ended.out == ""


@pytest.mark.parametrize("url", ["/backup", "backup", "ftp://x/y", "file://host/x", "s3://bucket/x?secret=1"])
def test_a_wrong_url_is_said_in_a_sentence(velero_py: Run, password_file: Path, url: str) -> None:
    ended = velero_py("repo", "--repository", url, "--password-file", password_file, "status")
    assert ended.code == 2
    assert ended.err.endswith("[InvalidArgument]\n")


def test_a_tag_without_a_value_is_refused(repo: Run, volume: Path) -> None:
    ended = repo("backup", volume, "--tag", "a")
    assert (ended.code, ended.err) == (2, "Error: the tag 'a' is not KEY=VALUE [InvalidArgument]\n")


def test_place_and_password_can_come_from_the_environment(
    repo: Run, velero_py: Run, url: str, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VELERO_PY_REPOSITORY", url)
    monkeypatch.setenv("VELERO_PY_PASSWORD_FILE", str(password_file))
    assert velero_py("repo", "snapshots", "-o", "json").json() == []


def test_a_source_that_is_no_folder_is_refused(repo: Run, volume: Path) -> None:
    for path in (volume / "file", volume / "missing"):
        ended = repo("backup", path)
        assert ended.code == 2
        assert str(path) in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_backup_in_an_orderly_way(
    repo: Run, volume: Path, tmp_path: Path, password_file: Path, number: int
) -> None:
    os.truncate(volume / "file", 1 << 40)  # no machine reads that in the time of a test
    environ = {**os.environ, "VELERO_PY_REPOSITORY": f"file://{tmp_path}/repository"}
    command = [sys.executable, "-m", "velero_py_plugin.cli", "repo", "--password-file", str(password_file)]
    with subprocess.Popen([*command, "backup", str(volume)], env=environ, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None and not _has_open(process.pid, volume / "file") and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err == b"Error: the upload was canceled before it was complete; nothing was committed [Canceled]\n"
    with kopia_repository.open_repository(FilesystemStorage(tmp_path / "repository"), PASSWORD) as opened:
        assert snapshot_manifest.list_snapshots(opened.manifests) == []


def _has_open(pid: int, path: Path) -> bool:
    folder = f"/proc/{pid}/fd"
    return any(os.path.realpath(f"{folder}/{name}") == str(path) for name in os.listdir(folder))
