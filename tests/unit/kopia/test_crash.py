"""A backup killed at any moment leaves a repository that opens, whose snapshots restore, and that takes another backup.

A child process backs up into a folder through a storage that kills it before, within or after its n-th change of the
store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pytest

from tests.unit.kopia.sample import SOURCE, Node, describe, open_in
from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.content import content_manager
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot import restore, snapshot_manifest, upload
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot
from velero_py_plugin.testing.faulty_storage import KillingStorage

#: Session marker, three packs of file data, one of directories and manifest, index, deletion of the marker.
_CHANGES: Final = 7
_PACK_SIZE: Final = 10_000  # less than a file: every file is a pack
_PASSWORD: Final = "static-passw0rd"
Moment = Literal["before", "within", "after"]


def _latest(repository: Repository) -> Snapshot:
    return snapshot_manifest.find_snapshot(repository.manifests, "latest")


def _back_up(repository: Repository, folder: Path) -> Snapshot:
    found = snapshot_manifest.list_snapshots(repository.manifests)
    return upload.Uploader(repository).upload(str(folder), SOURCE, parent=found[-1] if found else None)


def _restored(repository: Repository, snapshot: Snapshot, target: Path) -> dict[bytes, Node]:
    with contextlib.closing(RestoreTarget(str(target))) as opened:
        restore.Restorer(repository, opened).restore(snapshot.root_entry)
    return describe(target)


class _Scene:
    """A folder that was backed up and changed since."""

    def __init__(self, path: Path) -> None:
        self.folder, self.repository = path / "volume", path / "repository"
        random = np.random.default_rng(0)
        (self.folder / "below").mkdir(parents=True)
        for name in ("kept", "below/changed", "removed"):
            (self.folder / name).write_bytes(random.bytes(20_000))
        with open_in(FilesystemStorage(self.repository, create=True), max_pack_size=_PACK_SIZE) as opened:
            self.first = _back_up(opened, self.folder)
        self.before = describe(self.folder)
        (self.folder / "removed").unlink()
        for name in ("added", "below/added", "below/changed"):
            (self.folder / name).write_bytes(random.bytes(20_000))
        self.after = describe(self.folder)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> _Scene:
    return _Scene(tmp_path_factory.mktemp("scene"))


def _run(scene: _Scene, tmp_path: Path, nth: int, moment: Moment, *, indexing: bool) -> tuple[Path, int]:
    """Backs up in a process that is killed, on a copy of the repository; returns the copy and the exit code."""
    copy = tmp_path / "repository"
    shutil.copytree(scene.repository, copy)
    arguments = [str(copy), str(scene.folder), str(nth), moment, str(int(indexing))]
    done = subprocess.run([sys.executable, "-m", __name__, *arguments], check=False, timeout=60, capture_output=True)
    assert done.stderr == b""
    return copy, done.returncode


def _assert_sound(scene: _Scene, repository: Path, tmp_path: Path) -> int:
    """Checks a repository after a crash; returns how many snapshots it had."""
    with open_in(FilesystemStorage(repository)) as opened:
        found = snapshot_manifest.list_snapshots(opened.manifests)
        assert found[0] == scene.first
        assert _restored(opened, found[0], tmp_path / "first") == scene.before
        for i, snapshot in enumerate(found[1:]):
            assert _restored(opened, snapshot, tmp_path / f"second-{i}") == scene.after
        for prefix in ("", *"gklmx"):
            for content_id in opened.contents.list(prefix):
                opened.contents.read(content_id)
        again = _back_up(opened, scene.folder)
    with open_in(FilesystemStorage(repository)) as opened:
        assert _latest(opened) == again
        assert _restored(opened, again, tmp_path / "again") == scene.after
        assert _restored(opened, scene.first, tmp_path / "first-again") == scene.before
    return len(found)


@pytest.mark.parametrize("moment", ["before", "within", "after"])
@pytest.mark.parametrize("nth", range(1, _CHANGES + 1))
def test_a_backup_killed_at_any_change_of_the_store(scene: _Scene, tmp_path: Path, nth: int, moment: Moment) -> None:
    repository, code = _run(scene, tmp_path, nth, moment, indexing=False)
    assert code in (-signal.SIGKILL, -signal.SIGXFSZ)
    committed = (nth, moment) >= (_CHANGES, "") or (nth, moment) == (_CHANGES - 1, "after")
    assert _assert_sound(scene, repository, tmp_path) == (2 if committed else 1)


def test_there_is_no_further_change_to_be_killed_at(scene: _Scene, tmp_path: Path) -> None:
    repository, code = _run(scene, tmp_path, _CHANGES + 1, "before", indexing=False)
    assert code == 0
    assert _assert_sound(scene, repository, tmp_path) == 2


@pytest.mark.parametrize("moment", ["before", "within"])
@pytest.mark.parametrize("nth", [4, 5, 6, 8])
def test_a_backup_that_indexes_on_its_way_killed(scene: _Scene, tmp_path: Path, nth: int, moment: Moment) -> None:
    # How many indexes are written depends on how fast packs are; the later points may lie behind the end.
    repository, code = _run(scene, tmp_path, nth, moment, indexing=True)
    assert code in (-signal.SIGKILL, -signal.SIGXFSZ, 0)
    assert _assert_sound(scene, repository, tmp_path) in (1, 2)


def test_what_a_crash_leaves_is_not_taken_for_content(scene: _Scene, tmp_path: Path) -> None:
    repository, _ = _run(scene, tmp_path, 3, "within", indexing=False)
    left = [name for _, _, files in os.walk(repository) for name in files if ".tmp." in name]
    assert len(left) == 1
    assert _assert_sound(scene, repository, tmp_path) == 1
    with open_in(FilesystemStorage(repository)) as opened:
        assert not any("tmp" in blob.blob_id for blob in opened.storage.list())
        packs = {blob.blob_id for blob in opened.storage.list("p")}
        used = {opened.contents.find(content_id).pack_blob_id for content_id in opened.contents.list("")}
        assert len(packs - used) == 1  # uploaded before the crash and never indexed: maintenance removes it
        assert all(ids.content_key(content_id) for content_id in opened.contents.list(""))


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_creation_killed_at_any_change_of_the_store(tmp_path: Path, nth: int) -> None:
    # The two format blobs, session marker, pack, index, deletion of the marker, Velero's marker; 8 is after all.
    repository = tmp_path / "repository"
    arguments = [sys.executable, "-m", __name__, "create", str(repository), str(nth)]
    done = subprocess.run(arguments, check=False, timeout=60, capture_output=True)
    assert (done.returncode, done.stderr) == (0 if nth == 8 else -signal.SIGKILL, b"")
    url = f"file://{repository}"
    if nth == 2:
        # Only the companion of the format blob is there. Nobody can tell it from a repository that lost its format
        # blob; so a person decides, and is told what to remove.
        with pytest.raises(errors.RepositoryExistsError, match=r"holds kopia\.blobcfg"):
            kopia_repository.prepare_repository(url, _PASSWORD)
        FilesystemStorage(repository).delete("kopia.blobcfg")
    unique_id = kopia_repository.prepare_repository(url, _PASSWORD)
    assert kopia_repository.prepare_repository(url, _PASSWORD) == unique_id
    with kopia_repository.open_repository(FilesystemStorage(repository), _PASSWORD) as opened:
        assert len(opened.manifests.find({"type": "maintenance"})) == 1
        assert opened.storage.get("udmrepo.Repository")


def _create(repository: str, nth: str) -> None:
    storage = KillingStorage(FilesystemStorage(repository, create=True), nth=int(nth), moment="before")
    kopia_repository.create_repository(storage, _PASSWORD).close()


def _main(repository: str, folder: str, nth: str, moment: Moment, indexing: str) -> None:
    storage = KillingStorage(FilesystemStorage(repository), nth=int(nth), moment=moment)
    if int(indexing):
        content_manager._INDEX_ENTRIES = 1  # type: ignore[misc] # a long session in small
    with open_in(storage, max_pack_size=_PACK_SIZE) as opened:
        _back_up(opened, Path(folder))


if __name__ == "__main__":
    if sys.argv[1] == "create":
        _create(*sys.argv[2:])
    else:
        _main(*sys.argv[1:])  # type: ignore[arg-type] # the words are those of _run
