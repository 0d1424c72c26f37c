from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.cli.conftest import PASSWORD, Result, Run
from tests.unit.kopia.sample import describe
from velero_py_plugin.api.mover import ExitCode, MoverResult
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.snapshot import snapshot_manifest


@pytest.fixture
def mover(repo: Run, velero_py: Run, url: str, password_file: Path) -> Run:
    """Runs ``velero-py mover`` on a repository that exists."""

    def run(command: str, *arguments: str | Path) -> Result:
        return velero_py("mover", command, "--repository", url, "--password-file", password_file, *arguments)

    return run


def ended(result: Result) -> MoverResult:
    """The last line, after checking all."""
    lines = result.lines()
    assert [line["type"] for line in lines] == ["progress"] * (len(lines) - 1) + ["result"]
    for line in lines[:-1]:
        assert list(line) == ["type", "bytes_done", "total_bytes", "files_done", "total_files"]
        assert line["bytes_done"] <= line["total_bytes"]
        assert line["files_done"] <= line["total_files"]
    return MoverResult.from_json(lines[-1])


def backup(mover: Run, volume: Path, *more: str) -> MoverResult:
    done = mover("backup", "--source", volume, "--source-name", "app/data", *more)
    assert done.code == ExitCode.COMPLETED
    return ended(done)


def test_a_volume_goes_there_and_back(mover: Run, volume: Path, tmp_path: Path) -> None:
    backed_up = backup(mover, volume)
    assert re.fullmatch("[0-9a-f]{32}", backed_up.snapshot_id)
    assert (backed_up.outcome, backed_up.total_bytes, backed_up.incremental_bytes) == ("completed", 10, 10)
    assert (backed_up.files, backed_up.reason, backed_up.message) == (2, "", "")
    assert 0 < backed_up.seconds < 60
    stored = sum(
        path.stat().st_size for path in (tmp_path / "repository").rglob("*.f") if path.parts[-3] in ("p", "q", "x")
    )
    assert 0 < backed_up.stored_bytes < stored  # the rest is the repository's own manifest

    target = tmp_path / "target"
    restored = ended(mover("restore", "--snapshot", backed_up.snapshot_id, "--target", target))
    assert restored == MoverResult(
        "completed",
        snapshot_id=backed_up.snapshot_id,
        total_bytes=10,
        incremental_bytes=10,
        files=2,
        seconds=restored.seconds,
    )
    assert describe(target) == describe(volume)


def test_the_last_progress_is_the_whole(mover: Run, volume: Path) -> None:
    (volume / "large").write_bytes(bytes(3_000_000))
    lines = mover("backup", "--source", volume, "--source-name", "app/data").lines()
    assert lines[-2] == {
        "type": "progress",
        "bytes_done": 3_000_010,
        "total_bytes": 3_000_010,
        "files_done": 3,
        "total_files": 3,
    }


def test_a_snapshot_is_filed_as_velero_files_it(mover: Run, volume: Path, tmp_path: Path) -> None:
    backup(mover, volume, "--tag", "velero.io/async-operation-id=du-1.2", "--tag", "a=b=c")
    with kopia_repository.open_repository(FilesystemStorage(tmp_path / "repository"), PASSWORD) as opened:
        [snapshot] = snapshot_manifest.list_snapshots(opened.manifests)
    assert str(snapshot.source) == "default@default:snapshot-data-upload-download/kopia/app/data"
    assert snapshot.description == "Kopia Uploader"
    assert snapshot.pins == ("velero-pin",)
    assert snapshot.tags == {
        "snapshot-requester": "snapshot-data-upload-download",
        "snapshot-uploader": "kopia",
        "velero.io/async-operation-id": "du-1.2",
        "a": "b=c",
    }
    assert snapshot.root_entry.name == "volume"


def test_only_what_changed_is_read_and_stored(mover: Run, volume: Path) -> None:
    first = backup(mover, volume)
    second = backup(mover, volume)
    assert (second.total_bytes, second.incremental_bytes, second.files) == (10, 0, 2)
    assert second.stored_bytes < first.stored_bytes
    (volume / "added").write_bytes(b"added")
    third = backup(mover, volume)
    assert (third.total_bytes, third.incremental_bytes, third.files) == (15, 5, 3)


def test_a_wished_parent_is_compared_with_and_a_lost_one_means_reading_all(mover: Run, volume: Path) -> None:
    first = backup(mover, volume)
    (volume / "added").write_bytes(b"added")
    backup(mover, volume)
    assert backup(mover, volume, "--prefer-parent", first.snapshot_id).incremental_bytes == 5
    assert backup(mover, volume, "--prefer-parent", "0" * 32).incremental_bytes == 15


def test_other_volumes_snapshots_are_no_parents(mover: Run, volume: Path) -> None:
    backup(mover, volume)
    other = ended(mover("backup", "--source", volume, "--source-name", "app/other"))
    assert other.incremental_bytes == 10


def test_snapshots_that_are_not_whole_or_not_velero_s_are_no_parents(mover: Run, volume: Path, tmp_path: Path) -> None:
    backup(mover, volume)
    with kopia_repository.open_repository(FilesystemStorage(tmp_path / "repository"), PASSWORD) as opened:
        [snapshot] = snapshot_manifest.list_snapshots(opened.manifests)
        opened.manifests.delete(snapshot.manifest_id)
        snapshot_manifest.save(opened.manifests, dataclasses.replace(snapshot, incomplete="checkpoint"))
        snapshot_manifest.save(opened.manifests, dataclasses.replace(snapshot, tags={}))
        opened.flush()
    assert backup(mover, volume).incremental_bytes == 10


def test_holes_come_back_when_asked_for(mover: Run, volume: Path, tmp_path: Path) -> None:
    os.truncate(volume / "file", 5_000_000)
    snapshot_id = backup(mover, volume).snapshot_id
    for words, sparse in (((), False), (("--write-sparse-files",), True)):
        target = tmp_path / f"target-{sparse}"
        assert mover("restore", "--snapshot", snapshot_id, "--target", target, *words).code == 0
        assert describe(target) == describe(volume)
        assert ((target / "file").stat().st_blocks < 100) == sparse


FAILURES: list[tuple[str, dict[str, Any], ExitCode, str]] = [
    ("wrong password", {}, ExitCode.FAILED, "RepositoryWrongPassword"),
    ("no password", {}, ExitCode.USAGE, "InvalidArgument"),
    ("no repository", {}, ExitCode.FAILED, "StorageRefused"),
    ("empty repository", {}, ExitCode.FAILED, "RepositoryNotFound"),
    ("damaged repository", {}, ExitCode.FAILED, "RepositoryCorrupt"),
    ("wrong url", {"--repository": "/backup"}, ExitCode.USAGE, "InvalidArgument"),
]


def fail(repository: Path, password_file: Path, how: str) -> None:
    match how:
        case "wrong password":
            password_file.write_text("another")
        case "no password":
            password_file.unlink()
        case "no repository":
            shutil.rmtree(repository)
        case "empty repository":
            shutil.rmtree(repository)
            repository.mkdir()
        case "damaged repository":
            (repository / "kopia.repository.f").write_text("{")


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize(("how", "words", "code", "reason"), FAILURES, ids=[failure[0] for failure in FAILURES])
def test_failures_are_told_by_exit_code_reason_and_sentence(
    mover: Run,
    volume: Path,
    tmp_path: Path,
    password_file: Path,
    command: str,
    how: str,
    words: dict[str, str],
    code: ExitCode,
    reason: str,
) -> None:
    fail(tmp_path / "repository", password_file, how)
    own: dict[str, tuple[str | Path, ...]] = {
        "backup": ("--source", volume, "--source-name", "app/data"),
        "restore": ("--snapshot", "0" * 32, "--target", tmp_path / "target"),
    }
    done = mover(command, *own[command], *[word for pair in words.items() for word in pair])
    result = ended(done)
    assert done.code == code
    assert (result.outcome, result.reason, result.temporary) == ("failed", reason, False)
    assert len(result.message) > 20
    assert PASSWORD not in done.out + done.err
    assert not (tmp_path / "target").exists()


def test_a_source_that_cannot_be_read(mover: Run, tmp_path: Path) -> None:
    done = mover("backup", "--source", tmp_path / "missing", "--source-name", "app/data")
    assert (done.code, ended(done).reason) == (ExitCode.FAILED, "SourceUnreadable")


def test_a_target_that_is_not_empty(mover: Run, volume: Path) -> None:
    snapshot_id = backup(mover, volume).snapshot_id
    done = mover("restore", "--snapshot", snapshot_id, "--target", volume)
    assert (done.code, ended(done).reason) == (ExitCode.FAILED, "TargetNotWritable")


def test_an_unknown_snapshot(mover: Run, tmp_path: Path) -> None:
    done = mover("restore", "--snapshot", "0" * 32, "--target", tmp_path / "target")
    assert (done.code, ended(done).reason) == (ExitCode.FAILED, "SnapshotNotFound")


@pytest.mark.parametrize("tag", ["a", "=b", ""])
def test_a_tag_that_is_none(mover: Run, volume: Path, tag: str) -> None:
    done = mover("backup", "--source", volume, "--source-name", "app/data", "--tag", tag)
    assert (done.code, ended(done).message) == (ExitCode.USAGE, f"the tag {tag!r} is not KEY=VALUE")


def test_a_missing_pack_says_which_file_is_lost(mover: Run, volume: Path, tmp_path: Path) -> None:
    snapshot_id = backup(mover, volume).snapshot_id
    shutil.rmtree(tmp_path / "repository" / "p")
    done = mover("restore", "--snapshot", snapshot_id, "--target", tmp_path / "target")
    result = ended(done)
    assert (done.code, result.reason) == (ExitCode.FAILED, "BlobMissing")
    assert "cannot be restored: Blob p" in result.message


def test_a_store_that_does_not_answer_is_worth_another_try(
    velero_py: Run, password_file: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "no-word-of-this"}.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as unused:  # bound but not listening: a connection is refused
        unused.bind(("127.0.0.1", 0))
        url = f"s3://bucket/prefix?endpoint=http://127.0.0.1:{unused.getsockname()[1]}&region=us-east-1"
        words = ("--password-file", password_file, "--source", volume, "--source-name", "app/data")
        done = velero_py("mover", "backup", "--repository", url, *words)
    result = ended(done)
    assert (done.code, result.reason, result.temporary) == (ExitCode.TEMPORARY, "StorageUnavailable", True)
    assert "no-word-of-this" not in done.out + done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels(mover: Run, url: str, volume: Path, tmp_path: Path, password_file: Path, number: int) -> None:
    os.truncate(volume / "file", 1 << 40)  # no machine reads that in the time of a test
    words = [
        "--repository",
        url,
        "--password-file",
        str(password_file),
        "--source",
        str(volume),
        "--source-name",
        "a/b",
    ]
    command = [sys.executable, "-m", "velero_py_plugin.cli", "mover", "backup", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = orjson.loads(process.stdout.readline())  # it is at work
        process.send_signal(number)
        last = orjson.loads(process.communicate(timeout=30)[0].splitlines()[-1])
    assert process.returncode == ExitCode.CANCELED
    assert first["type"] == "progress"
    assert first["bytes_done"] < first["total_bytes"] == (1 << 40) + 5
    assert (last["outcome"], last["reason"]) == ("canceled", "Canceled")
    assert last["message"] == "the upload was canceled before it was complete; nothing was committed"
    with kopia_repository.open_repository(FilesystemStorage(tmp_path / "repository"), PASSWORD) as opened:
        assert snapshot_manifest.list_snapshots(opened.manifests) == []
