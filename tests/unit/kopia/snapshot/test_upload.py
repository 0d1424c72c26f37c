from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest

from tests.unit.kopia.sample import EMPTY_CONTENT, SOURCE, describe, make_tree, open_in
from tests.unit.kopia.unprivileged import run_unprivileged
from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot import directory, snapshot_manifest, upload
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry
from velero_py_plugin.kopia.snapshot.progress import Progress
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot
from velero_py_plugin.testing.faulty_storage import FaultyStorage
from velero_py_plugin.testing.memory_storage import MemoryStorage


@pytest.fixture
def storage() -> FaultyStorage:
    return FaultyStorage(MemoryStorage())


@pytest.fixture
def repository(storage: FaultyStorage) -> Iterator[Repository]:
    with open_in(storage) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.mkdir()
    return path


def back_up(repository: Repository, folder: Path, parent: Snapshot | None = None) -> Snapshot:
    return upload.Uploader(repository).upload(str(folder), SOURCE, parent=parent)


def stored(repository: Repository, root: DirectoryEntry) -> dict[bytes, DirectoryEntry]:
    """All entries of a snapshot by path."""
    found = {b".": root}
    stack = [(b".", root)]
    while stack:
        path, parent = stack.pop()
        for entry in directory.read_directory(repository.objects, parent.object_id):
            found[path + b"/" + os.fsencode(entry.name)] = entry
            if entry.type == "d":
                stack.append((path + b"/" + os.fsencode(entry.name), entry))
    return found


def entries(repository: Repository, snapshot: Snapshot) -> dict[str, DirectoryEntry]:
    """The entries of a snapshot's root by name."""
    return {entry.name: entry for entry in directory.read_directory(repository.objects, snapshot.root_entry.object_id)}


def read(repository: Repository, entry: DirectoryEntry) -> bytes:
    return repository.objects.read(ids.ObjectID.parse(entry.object_id))


def assert_nothing_committed(storage: FaultyStorage) -> None:
    assert [blob.blob_id for blob in storage.list("x")] == []
    with open_in(storage) as again:
        assert again.contents.count() == 0
        assert snapshot_manifest.list_snapshots(again.manifests) == []


def test_everything_in_a_folder_is_stored(repository: Repository, storage: FaultyStorage, folder: Path) -> None:
    make_tree(folder)
    before = describe(folder)
    snapshot = back_up(repository, folder)
    with open_in(storage) as again:
        found = stored(again, snapshot_manifest.find_snapshot(again.manifests, "latest").root_entry)
        assert set(found) == set(before)
        kinds = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "s": stat.S_IFLNK}
        for path, node in before.items():
            entry = found[path]
            assert (kinds[entry.type], entry.mode, (entry.uid, entry.gid), entry.mtime) == node[:4], path
            if entry.type != "d":
                assert (read(again, entry), entry.size) == (node.data, len(node.data)), path
    files = [node for node in before.values() if node.kind == stat.S_IFREG]
    summary = snapshot.root_entry.summary
    assert summary is not None
    assert (summary.files, summary.size) == (len(files), sum(len(node.data) for node in files))
    assert (summary.dirs, summary.symlinks) == (7, 3)
    statistics = snapshot.statistics
    assert statistics["totalSize"] == summary.size
    assert (statistics["fileCount"], statistics["cachedFiles"], statistics["dirCount"]) == (len(files), 0, 7)


def test_the_manifest_says_what_when_and_why(storage: FaultyStorage, folder: Path) -> None:
    times = iter(range(1_795_000_000 * 10**9, 2**63, 10**9))
    with open_in(storage, now_ns=lambda: next(times)) as repository:
        snapshot = upload.Uploader(repository).upload(
            str(folder), SOURCE, description="why", tags={"a": "b"}, pins=("velero-pin",)
        )
    assert (snapshot.source, snapshot.description, snapshot.tags) == (SOURCE, "why", {"a": "b"})
    assert (snapshot.pins, snapshot.incomplete, snapshot.root_entry.name) == (("velero-pin",), "", "volume")
    assert snapshot.start_time < snapshot.end_time


def test_large_files_are_cut_and_equal_data_is_stored_once(repository: Repository, folder: Path) -> None:
    data = np.random.default_rng(5).bytes(3_000_000)
    (folder / "one").write_bytes(data)
    (folder / "two").write_bytes(data)
    (folder / "longer").write_bytes(data + b"more")
    found = entries(repository, back_up(repository, folder))
    assert found["one"].object_id == found["two"].object_id
    assert found["one"].object_id.startswith("Ix")
    assert read(repository, found["longer"]) == data + b"more"
    shared, longer = (
        {part.content_id for part in repository.objects.parts(ids.ObjectID.parse(found[name].object_id))}
        for name in ("one", "longer")
    )
    assert len(longer - shared) <= 2


def test_an_unchanged_folder_is_not_read_again(storage: FaultyStorage, folder: Path) -> None:
    make_tree(folder)
    with open_in(storage) as repository:
        first = back_up(repository, folder)
    # Other bytes under unchanged metadata: whoever reads them stores something else.
    for path in (folder / "large", folder / "many" / "000", folder / "mode-4755"):
        status, size = path.stat(), path.stat().st_size
        with path.open("r+b") as file:
            file.write(b"#" * size)
        path.chmod(stat.S_IMODE(status.st_mode))  # writing clears set-uid
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    with open_in(storage) as repository:
        progress = Progress()
        second = upload.Uploader(repository, progress=progress).upload(str(folder), SOURCE, parent=first)
        assert second.root_entry == first.root_entry
        assert progress.bytes_read == 0
        assert progress.bytes_reused == first.statistics["totalSize"]
        assert progress.files == second.statistics["cachedFiles"] - 3  # links count there
        assert repository.contents.statistics.contents == 1  # the manifest
    assert second.statistics["fileCount"] == 0
    assert second.statistics["totalSize"] == first.statistics["totalSize"]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"after!"),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.chmod(0o600),
        lambda path: os.truncate(path, 3),
    ],
)
def test_a_file_with_other_metadata_is_read_again(
    repository: Repository, folder: Path, change: Callable[[Path], object]
) -> None:
    (folder / "changed").write_bytes(b"before")
    (folder / "kept").write_bytes(b"kept")
    first = back_up(repository, folder)
    change(folder / "changed")
    second = back_up(repository, folder, first)
    assert (second.statistics["fileCount"], second.statistics["cachedFiles"]) == (1, 1)
    assert read(repository, entries(repository, second)["changed"]) == (folder / "changed").read_bytes()


def test_what_was_added_moved_and_removed_since(repository: Repository, folder: Path) -> None:
    make_tree(folder)
    first = back_up(repository, folder)
    shutil.rmtree(folder / "names")
    (folder / "names").write_bytes(b"a file now")
    (folder / "link").unlink()
    (folder / "link").mkdir()
    (folder / "empty").rename(folder / "moved")
    before = describe(folder)
    second = back_up(repository, folder, first)
    found = stored(repository, second.root_entry)
    assert set(found) == set(before)
    for path, node in before.items():
        if node.kind == stat.S_IFREG:
            assert read(repository, found[path]) == node.data


def with_root(snapshot: Snapshot, object_id: str) -> Snapshot:
    """The snapshot as if its root directory were another object."""
    return dataclasses.replace(snapshot, root_entry=dataclasses.replace(snapshot.root_entry, object_id=object_id))


@pytest.mark.parametrize("damage", ["missing", "garbage", "no id", "a file"])
def test_a_damaged_previous_directory_is_not_trusted(
    repository: Repository, folder: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    (folder / "file").write_bytes(b"data")
    first = back_up(repository, folder)
    object_id = {
        "missing": "k" + "00" * 16,
        "garbage": str(repository.objects.write_bytes(b"garbage", "k")),
        "no id": "../x",
        "a file": entries(repository, first)["file"].object_id,
    }[damage]
    second = back_up(repository, folder, with_root(first, object_id))
    assert second.root_entry == first.root_entry
    assert (second.statistics["fileCount"], second.statistics["cachedFiles"]) == (1, 0)
    assert "the previous snapshot cannot be used for 'volume'" in caplog.text


def test_a_previous_snapshot_of_a_file_is_of_no_use(repository: Repository, folder: Path) -> None:
    (folder / "file").write_bytes(b"data")
    first = back_up(repository, folder)
    parent = dataclasses.replace(first, root_entry=entries(repository, first)["file"])
    assert back_up(repository, folder, parent).root_entry == first.root_entry


@pytest.mark.parametrize("lost", ["00" * 16, "no id"])
def test_a_file_whose_object_was_lost_is_read_again(
    repository: Repository, folder: Path, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    (folder / "file").write_bytes(b"data")
    first = back_up(repository, folder)
    previous = list(entries(repository, first).values())
    previous[0].object_id = lost
    damaged, _ = directory.write_directory(repository.objects, previous, 0)
    with caplog.at_level(logging.WARNING):
        second = back_up(repository, folder, with_root(first, damaged))
    assert second.root_entry == first.root_entry
    assert "'file' is read again" in caplog.text


class _Hook(threading.Event):
    """Runs something at the n-th time the upload asks whether it is canceled: after listing, before reading."""

    def __init__(self, at: int, act: Callable[[], object], canceled: threading.Event | None = None) -> None:
        super().__init__()
        self._calls = itertools.count(1)
        self._at = at
        self._act = act
        self._canceled = canceled or threading.Event()

    def is_set(self) -> bool:
        if next(self._calls) == self._at:  # asked from many threads; counting is atomic
            self._act()
        return self._canceled.is_set()


def interfere(repository: Repository, folder: Path, act: Callable[[], object]) -> Snapshot:
    """Backs up while something happens between the listing of the folder and the reading of its files."""
    return upload.Uploader(repository, canceled=_Hook(2, act)).upload(str(folder), SOURCE)


def test_files_and_folders_that_vanish_are_left_out(repository: Repository, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_bytes(b"data")
        (folder / f"{name}-folder").mkdir()
        os.symlink("x", folder / f"{name}-link")

    def vanish() -> None:
        (folder / "a").unlink()
        (folder / "a-link").unlink()
        (folder / "a-folder").rmdir()

    snapshot = interfere(repository, folder, vanish)
    assert set(entries(repository, snapshot)) == {"b", "b-folder", "b-link"}
    assert (snapshot.statistics["fileCount"], snapshot.statistics["dirCount"]) == (1, 2)


def test_a_file_that_vanishes_before_it_is_looked_at_is_left_out(repository: Repository, folder: Path) -> None:
    for i in range(64):  # one batch
        (folder / f"{i:02d}").touch()
    (folder / "last").touch()
    snapshot = interfere(repository, folder, (folder / "last").unlink)
    assert "last" not in entries(repository, snapshot)


@pytest.mark.parametrize("size", [0, 3, 10, 200_000])
def test_a_file_that_changes_while_it_is_read_is_stored_as_it_was_read(
    repository: Repository, folder: Path, size: int
) -> None:
    (folder / "file").write_bytes(b"before")
    snapshot = interfere(repository, folder, lambda: (folder / "file").write_bytes(b"#" * size))
    entry = entries(repository, snapshot)["file"]
    assert entry.size == size
    assert read(repository, entry) == b"#" * size
    assert snapshot.root_entry.summary is not None
    assert snapshot.root_entry.summary.size == size


def test_a_file_replaced_by_a_link_is_not_followed(
    repository: Repository, storage: FaultyStorage, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "file").write_bytes(b"data")

    def replace() -> None:
        (folder / "file").unlink()
        os.symlink(tmp_path / "secret", folder / "file")

    with pytest.raises(errors.SourceError, match="volume/file' cannot be read"):
        interfere(repository, folder, replace)
    assert_nothing_committed(storage)


def test_a_folder_replaced_by_a_link_is_not_followed(
    repository: Repository, storage: FaultyStorage, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (folder / "below").mkdir()
    (folder / "file").touch()

    def replace() -> None:
        (folder / "below").rmdir()
        os.symlink(tmp_path / "secret", folder / "below")

    with pytest.raises(errors.SourceError, match=r"volume/below' cannot be read"):
        interfere(repository, folder, replace)
    assert_nothing_committed(storage)


def test_sockets_and_pipes_are_left_out_with_a_warning(
    repository: Repository, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "file").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        before = os.getcwd()
        os.chdir(folder)  # the path of a socket may be 107 bytes long
        try:
            listener.bind("socket")
        finally:
            os.chdir(before)
        snapshot = back_up(repository, folder)
    assert set(entries(repository, snapshot)) == {"file"}
    assert snapshot.statistics["excludedFileCount"] == 2
    assert f"{str(folder / 'pipe')!r} is neither file, folder nor link and was left out" in caplog.text


@pytest.mark.parametrize("what", ["file", "large", "folder", "root"])
def test_what_cannot_be_read_fails_the_backup_and_commits_nothing(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "volume"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_bytes(b"data")
    (folder / "large").write_bytes(bytes(2_000_000))
    (folder if what == "root" else folder / what).chmod(0)
    result = run_unprivileged("upload", folder)
    name = "volume" if what == "root" else f"volume/{what}"
    assert result["error"] == "SourceError"
    assert result["message"].endswith(f"{name}' cannot be read: Permission denied")
    assert result["committed"] == 0


def test_a_name_that_is_not_utf_8_does_not_spoil_the_message(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    path = os.fsencode(folder) + b"/caf\xe9"
    os.close(os.open(path, os.O_CREAT, 0))
    result = run_unprivileged("upload", folder)
    assert result["message"].endswith(r"volume/caf\udce9' cannot be read: Permission denied")


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_source_that_is_no_folder_is_refused(
    repository: Repository, storage: FaultyStorage, folder: Path, kind: str
) -> None:
    (folder / "file").touch()
    with pytest.raises(errors.SourceError, match=f"the folder '.*{kind}' cannot be read: (No such|Not a directory)"):
        back_up(repository, folder / kind)
    assert_nothing_committed(storage)


def test_the_folder_itself_may_be_a_link(repository: Repository, folder: Path, tmp_path: Path) -> None:
    (folder / "file").touch()
    os.symlink(folder, tmp_path / "link")
    snapshot = back_up(repository, tmp_path / "link")
    assert snapshot.root_entry.name == "link"
    assert set(entries(repository, snapshot)) == {"file"}


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, 13, 21, 34, 55])
def test_a_canceled_upload_stops_and_commits_nothing(
    repository: Repository, storage: FaultyStorage, folder: Path, at: int
) -> None:
    make_tree(folder)
    descriptors, threads = open_descriptors(), threading.active_count()
    canceled = threading.Event()
    hook = _Hook(at, canceled.set, canceled)
    with pytest.raises(errors.CanceledError, match="nothing was committed"):
        upload.Uploader(repository, canceled=hook).upload(str(folder), SOURCE)
    assert_nothing_committed(storage)
    assert open_descriptors() == descriptors
    assert threading.active_count() <= threads + 2  # the two that upload packs stay with the repository


@pytest.mark.parametrize(("prefix", "nth"), [("p", 1), ("p", 3), ("q", 1), ("s", 1), ("x", 1)])
def test_a_store_that_fails_fails_the_backup_and_commits_nothing(
    storage: FaultyStorage, folder: Path, prefix: str, nth: int
) -> None:
    make_tree(folder)
    storage.fail("put", errors.StorageUnavailableError("the store is gone"), prefix=prefix, nth=nth)
    descriptors = open_descriptors()
    with (
        open_in(storage, max_pack_size=200_000) as repository,
        pytest.raises(errors.StorageUnavailableError, match="the store is gone"),
    ):
        back_up(repository, folder)
    assert_nothing_committed(storage)
    assert open_descriptors() == descriptors


def test_two_uploads_at_once_do_not_disturb_each_other(storage: FaultyStorage, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for path in folders:
        path.mkdir()
        make_tree(path)
    (folders[1] / "own").write_bytes(b"own")

    def one(path: Path) -> Snapshot:
        with open_in(storage) as repository:
            return back_up(repository, path)

    with futures.ThreadPoolExecutor(2) as pool:
        snapshots = list(pool.map(one, folders))
    with open_in(storage) as again:
        assert len(snapshot_manifest.list_snapshots(again.manifests)) == 2
        for snapshot, path in zip(snapshots, folders, strict=True):
            found = stored(again, snapshot.root_entry)
            for name, node in describe(path).items():
                if node.kind == stat.S_IFREG:
                    assert read(again, found[name]) == node.data


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a tmpfs, whose times have 64 bits")
@pytest.mark.parametrize(
    ("mtime", "expected"), [(10**21, go_json.MAX_TIME), (-(10**20), go_json.MIN_TIME), (2**63, 2**63)]
)
def test_times_beyond_all_years_become_the_nearest(repository: Repository, mtime: int, expected: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        (Path(name) / "file").touch()
        os.utime(Path(name) / "file", ns=(mtime, mtime))
        snapshot = back_up(repository, Path(name))
        assert entries(repository, snapshot)["file"].mtime == expected
        assert back_up(repository, Path(name), snapshot).statistics["cachedFiles"] == 1


def test_the_scan_counts_what_the_upload_will_find(repository: Repository, folder: Path) -> None:
    make_tree(folder)
    os.mkfifo(folder / "pipe")
    progress = Progress()
    upload.scan(str(folder), progress, threading.Event())
    summary = back_up(repository, folder).root_entry.summary
    assert summary is not None
    assert (progress.total_files, progress.total_bytes) == (summary.files, summary.size)


def test_the_scan_leaves_errors_to_the_upload_and_can_be_stopped(folder: Path) -> None:
    make_tree(folder)
    progress, canceled = Progress(), threading.Event()
    upload.scan(str(folder / "missing"), progress, canceled)
    canceled.set()
    upload.scan(str(folder), progress, canceled)
    assert (progress.total_files, progress.total_bytes) == (0, 0)


def test_an_empty_folder(repository: Repository, folder: Path) -> None:
    snapshot = back_up(repository, folder)
    assert entries(repository, snapshot) == {}
    assert snapshot.root_entry.summary is not None
    assert snapshot.root_entry.summary.max_time == folder.stat().st_mtime_ns


def test_an_empty_file_is_the_empty_content(repository: Repository, folder: Path) -> None:
    (folder / "empty").touch()
    assert entries(repository, back_up(repository, folder))["empty"].object_id == EMPTY_CONTENT
