from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.kopia.sample import SOURCE, describe, make_tree, open_in
from tests.unit.kopia.unprivileged import run_unprivileged
from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot import restore, upload
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry
from velero_py_plugin.kopia.snapshot.progress import Progress
from velero_py_plugin.kopia.snapshot.restore import RestoreResult
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget
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


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def back_up(repository: Repository, folder: Path) -> DirectoryEntry:
    return upload.Uploader(repository).upload(str(folder), SOURCE).root_entry


def put_back(
    repository: Repository,
    root: DirectoryEntry,
    target: Path,
    *,
    overwrite: bool = False,
    sparse: bool = False,
    **more: Any,
) -> RestoreResult:
    with contextlib.closing(RestoreTarget(str(target), overwrite=overwrite, sparse=sparse)) as opened:
        return restore.Restorer(repository, opened, **more).restore(root)


def file_entry(repository: Repository, name: str, data: bytes = b"data", **fields: Any) -> dict[str, Any]:
    object_id = str(repository.objects.write_bytes(data))
    return {"name": name, "type": "f", "mode": "0644", "size": len(data), "obj": object_id, **fields}


def folder_of(repository: Repository, *entries: dict[str, Any]) -> DirectoryEntry:
    """A root whose entries are written as they are, as a hostile or damaged client would."""
    document = {"stream": "kopia:directory", "entries": [_without_zero(entry) for entry in entries]}
    object_id = str(repository.objects.write_bytes(json.dumps(document).encode(), "k"))
    repository.flush()
    return DirectoryEntry("root", "d", object_id, 0o755, uid=os.getuid(), gid=os.getgid())


def _without_zero(entry: dict[str, Any]) -> dict[str, Any]:
    owner = {"uid": os.getuid(), "gid": os.getgid()}
    return {key: value for key, value in {**owner, **entry}.items() if value != 0}


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_was_backed_up_comes_back(storage: FaultyStorage, folder: Path, target: Path) -> None:
    make_tree(folder)
    before = describe(folder)
    with open_in(storage) as repository:
        root = back_up(repository, folder)
    progress = Progress()
    with open_in(storage) as repository:
        result = put_back(repository, root, target, progress=progress)
    assert describe(target) == before
    files = [node for node in before.values() if node.kind == stat.S_IFREG]
    size = sum(len(node.data) for node in files)
    assert result == RestoreResult(len(files), 7, 3, size, 0)
    assert (progress.files, progress.total_files) == (len(files), len(files))
    assert (progress.bytes_read, progress.total_bytes) == (size, size)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("plan", [1, 2, 5])
def test_nothing_depends_on_how_much_is_planned_together(
    repository: Repository, folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, plan: int, sparse: bool
) -> None:
    make_tree(folder)
    root = back_up(repository, folder)
    monkeypatch.setattr(restore, "_PLAN_PARTS", plan)
    put_back(repository, root, target, workers=plan, sparse=sparse)
    assert describe(target) == describe(folder)


def test_files_of_many_parts_from_several_packs(storage: FaultyStorage, folder: Path, target: Path) -> None:
    random = np.random.default_rng(11)
    blocks = [random.bytes(100_000) for _ in range(5)]
    for i in range(6):
        (folder / f"{i}").write_bytes(b"".join(blocks[int(j)] for j in random.integers(0, 5, 30)))
    with open_in(storage, max_pack_size=300_000) as repository:
        root = back_up(repository, folder)
        assert len(list(storage.list("p"))) > 3
        put_back(repository, root, target)
    assert describe(target) == describe(folder)


def test_a_content_used_many_times_is_read_once(storage: FaultyStorage, folder: Path, target: Path) -> None:
    for i in range(50):
        (folder / f"{i}").write_bytes(b"the same")
    with open_in(storage) as repository:
        root = back_up(repository, folder)
        storage.calls.clear()
        put_back(repository, root, target)
    assert [method for method, name in storage.calls if name.startswith("p")] == ["get"]
    assert describe(target) == describe(folder)


@pytest.mark.parametrize("path", ["deep", "/deep/", "deep/deeper", "empty-folder"])
def test_a_part_of_a_snapshot(repository: Repository, folder: Path, target: Path, path: str) -> None:
    make_tree(folder)
    entry = restore.find_entry(repository, back_up(repository, folder), path)
    put_back(repository, entry, target)
    assert describe(target) == describe(folder / path.strip("/"))


@pytest.mark.parametrize("path", ["large", "empty", "dangling", "deep/deeper/deepest/file"])
def test_a_single_file_or_link_goes_into_the_target(
    repository: Repository, folder: Path, target: Path, path: str
) -> None:
    make_tree(folder)
    entry = restore.find_entry(repository, back_up(repository, folder), path)
    progress = Progress()
    result = put_back(repository, entry, target, progress=progress)
    name = os.path.basename(path)
    assert describe(target)[f"./{name}".encode()] == describe((folder / path).parent)[f"./{name}".encode()]
    assert os.listdir(target) == [name]
    assert (result.files, result.symlinks, result.directories) == ((0, 1, 0) if path == "dangling" else (1, 0, 0))
    assert (progress.total_files, progress.files) == (result.files, result.files)


def test_a_single_root_with_the_name_of_a_path_is_refused(repository: Repository, target: Path) -> None:
    entry = DirectoryEntry("../escaped", "f", str(repository.objects.write_bytes(b"data")), 0o644, 4)
    with pytest.raises(errors.CorruptRepositoryError, match="would lead outside"):
        put_back(repository, entry, target)
    assert not (target.parent / "escaped").exists()


@pytest.mark.parametrize("path", ["missing", "deep/missing", "large/below", "deep/../large", "link/x"])
def test_a_path_that_the_snapshot_does_not_have(repository: Repository, folder: Path, path: str) -> None:
    make_tree(folder)
    root = back_up(repository, folder)
    with pytest.raises(errors.SnapshotNotFoundError, match="the snapshot has no"):
        restore.find_entry(repository, root, path)


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_no_path_is_the_root(repository: Repository, folder: Path, path: str) -> None:
    root = back_up(repository, folder)
    assert restore.find_entry(repository, root, path) is root


# The target


def test_a_target_that_is_not_empty_is_left_alone(repository: Repository, folder: Path, target: Path) -> None:
    root = back_up(repository, folder)
    target.mkdir()
    (target / "precious").touch()
    before = describe(target)
    with pytest.raises(errors.TargetError, match=r"is not empty .it has 'precious'.*--overwrite"):
        put_back(repository, root, target)
    assert describe(target) == before


def test_a_fresh_volume_counts_as_empty(repository: Repository, folder: Path, target: Path) -> None:
    (folder / "file").write_bytes(b"data")
    (target / "lost+found").mkdir(parents=True)
    put_back(repository, back_up(repository, folder), target)
    assert sorted(os.listdir(target)) == ["file", "lost+found"]


def test_a_target_that_is_a_file_is_refused(target: Path) -> None:
    target.touch()
    with pytest.raises(errors.TargetError, match=r"cannot be used: (File exists|Not a directory)"):
        RestoreTarget(str(target))


def test_a_refused_target_is_closed(target: Path) -> None:
    target.mkdir()
    (target / "x").touch()
    before = open_descriptors()
    with pytest.raises(errors.TargetError):
        RestoreTarget(str(target))
    assert open_descriptors() == before


def test_overwriting_replaces_what_has_the_same_name_and_keeps_the_rest(
    repository: Repository, folder: Path, target: Path
) -> None:
    make_tree(folder)
    root = back_up(repository, folder)
    target.mkdir()
    (target / "kept").write_bytes(b"kept")
    (target / "large").write_bytes(bytes(3_000_000))
    (target / "empty").write_bytes(b"not empty")
    (target / "link").write_bytes(b"a file")
    os.symlink("kept", target / "mode-755")
    (target / "deep").mkdir(mode=0o755)
    (target / "deep" / "kept").touch()
    put_back(repository, root, target, overwrite=True)
    after = describe(target)
    assert after.pop(b"./kept").data == b"kept"
    assert after.pop(b"./deep/kept").data == b""
    assert after == describe(folder)


def test_a_hard_link_in_the_target_is_replaced_not_written_through(
    repository: Repository, folder: Path, target: Path, tmp_path: Path
) -> None:
    (folder / "file").write_bytes(b"restored")
    (tmp_path / "outside").write_bytes(b"outside")
    target.mkdir()
    os.link(tmp_path / "outside", target / "file")
    put_back(repository, back_up(repository, folder), target, overwrite=True)
    assert (tmp_path / "outside").read_bytes() == b"outside"
    assert (target / "file").read_bytes() == b"restored"


@pytest.mark.parametrize("obstacle", ["link", "file"])
def test_what_stands_in_a_folder_s_place_is_not_followed(
    repository: Repository, folder: Path, target: Path, tmp_path: Path, obstacle: str
) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_bytes(b"data")
    root = back_up(repository, folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    target.mkdir()
    if obstacle == "link":
        os.symlink(outside, target / "below")
    else:
        (target / "below").touch()
    with pytest.raises(errors.TargetError, match="target/below' cannot be written: Not a directory"):
        put_back(repository, root, target, overwrite=True)
    assert os.listdir(outside) == []


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_folder_in_a_file_s_place_is_not_removed(
    repository: Repository, folder: Path, target: Path, kind: str
) -> None:
    (folder / "x").write_bytes(b"data") if kind == "file" else os.symlink("y", folder / "x")
    root = back_up(repository, folder)
    (target / "x").mkdir(parents=True)
    with pytest.raises(errors.TargetError, match="target/x' exists already and was not replaced"):
        put_back(repository, root, target, overwrite=True)
    assert (target / "x").is_dir()


# Snapshots by clients in bad faith


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "", ".", "..", "a/b", "a\0b"])
@pytest.mark.parametrize("kind", ["f", "d", "s"])
@pytest.mark.parametrize("raw", [False, True])
def test_hostile_names_are_refused(repository: Repository, target: Path, name: str, kind: str, raw: bool) -> None:
    entry = file_entry(repository, name, type=kind)
    if raw:
        entry |= {"name": "harmless", "rawName": base64.b64encode(name.encode()).decode()}
    root = folder_of(repository, file_entry(repository, "first"), entry)
    with pytest.raises(errors.CorruptRepositoryError, match="would lead outside its directory"):
        put_back(repository, root, target)
    assert sorted(os.listdir(target.parent)) == ["target"]
    assert os.listdir(target) == []


def test_names_that_kopia_made_equal_are_told_apart(repository: Repository, target: Path) -> None:
    # What kopia stores for the names b"x\xfe" and b"x\xff", twice, beside one that is really called so.
    entries = [file_entry(repository, "x\ufffd", data) for data in (b"first", b"second", b"third")]
    result = put_back(repository, folder_of(repository, *entries), target)
    assert sorted(path.read_bytes() for path in target.iterdir()) == [b"first", b"second", b"third"]
    assert (target / "x\ufffd").exists()
    assert (result.files, result.attributes_not_restored) == (3, 2)


@pytest.mark.parametrize("second", ["f", "d", "s"])
def test_a_name_that_occurs_twice_is_refused(repository: Repository, target: Path, second: str) -> None:
    outside = target.parent / "outside"
    outside.mkdir()
    link = file_entry(repository, "x", os.fsencode(outside), type="s")
    below = folder_of(repository, file_entry(repository, "file"))
    other = {"name": "x", "type": second, "obj": below.object_id} if second == "d" else file_entry(repository, "x")
    with pytest.raises(errors.CorruptRepositoryError, match="has the name 'x' twice"):
        put_back(repository, folder_of(repository, link, {**other, "type": second}), target)
    assert os.listdir(outside) == []


@pytest.mark.parametrize(
    ("link", "error"),
    [
        (b"a\0b", errors.CorruptRepositoryError),
        (b"", errors.TargetError),
        (b"x" * 5000, errors.TargetError),
    ],
)
def test_a_link_that_no_system_can_make_is_an_error(
    repository: Repository, target: Path, link: bytes, error: type[Exception]
) -> None:
    root = folder_of(repository, file_entry(repository, "link", link, type="s"))
    with pytest.raises(error, match="link"):
        put_back(repository, root, target)


def test_links_that_lead_anywhere_are_made_and_never_followed(repository: Repository, target: Path) -> None:
    links = ["/etc/passwd", "../../..", "link-0", "\u2028"]
    root = folder_of(
        repository, *(file_entry(repository, f"link-{i}", link.encode(), type="s") for i, link in enumerate(links))
    )
    put_back(repository, root, target)
    assert [os.readlink(target / f"link-{i}") for i in range(4)] == links


def test_a_folder_inside_itself_ends(repository: Repository, target: Path) -> None:
    # Nobody can build one, ids being hashes; but who knows the keys can store any bytes under any id.
    content = repository.contents
    key = "k" + "ab" * 16
    loop = {"stream": "kopia:directory", "entries": [{"name": "x" * 200, "type": "d", "obj": key}]}
    real = repository.objects.write_bytes(json.dumps(loop).encode(), "k")
    entry = content.find(str(real))
    sealed = content._encryptor.seal(json.dumps(loop).encode(), bytes.fromhex("ab" * 16))
    repository.flush()
    repository.storage.put("q0-s0", sealed)
    content._written[ids.content_key(key)] = entry._replace(
        key=ids.content_key(key), pack_blob_id="q0-s0", pack_offset=0, packed_length=len(sealed)
    )
    with pytest.raises(errors.TargetError, match="File name too long"):
        put_back(repository, DirectoryEntry("root", "d", key, 0o755), target)


def test_a_size_that_is_not_true_is_refused(repository: Repository, target: Path) -> None:
    for size in (3, 5, 1 << 50):
        root = folder_of(repository, file_entry(repository, "file", size=size))
        with pytest.raises(errors.CorruptRepositoryError, match=f"'file' cannot be restored.*directory says {size}"):
            put_back(repository, root, target, overwrite=True)


# Damage


def restore_damaged(storage: FaultyStorage, root: DirectoryEntry, target: Path) -> str:
    """Restores what must not come back, and says what the error says."""
    descriptors = open_descriptors()
    with open_in(storage) as repository, pytest.raises(errors.CorruptRepositoryError) as raised:
        put_back(repository, root, target)
    assert open_descriptors() == descriptors
    return f"{type(raised.value).__name__}: {raised.value}"


@pytest.fixture
def backed_up(storage: FaultyStorage, folder: Path) -> DirectoryEntry:
    """A folder with one small and one large file, and where they are stored."""
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(np.random.default_rng(2).bytes(1_500_000))
    with open_in(storage) as repository:
        return back_up(repository, folder)


def only(storage: FaultyStorage, prefix: str) -> str:
    [name] = [blob.blob_id for blob in storage.list(prefix)]
    return name


def test_a_missing_pack_is_said_with_the_file(storage: FaultyStorage, backed_up: DirectoryEntry, target: Path) -> None:
    pack = only(storage, "p")
    storage.delete(pack)
    message = restore_damaged(storage, backed_up, target)
    assert message.startswith("BlobMissingError: '")
    assert f"cannot be restored: Blob {pack} does not exist" in message


def test_a_missing_pack_of_folders_is_said(storage: FaultyStorage, backed_up: DirectoryEntry, target: Path) -> None:
    pack = only(storage, "q")
    storage.delete(pack)
    assert pack in restore_damaged(storage, backed_up, target)


@pytest.mark.parametrize("kind", ["p", "q"])
@pytest.mark.parametrize("at", [40, 300])
def test_a_flipped_byte_is_said_with_the_file(
    storage: FaultyStorage, backed_up: DirectoryEntry, target: Path, kind: str, at: int
) -> None:
    pack = only(storage, kind)
    damaged = bytearray(storage.get(pack))
    damaged[at] ^= 1
    storage.put(pack, damaged)
    message = restore_damaged(storage, backed_up, target)
    assert pack in message
    assert "bytes were changed" in message
    if kind == "p":
        assert "large' cannot be restored" in message or "small' cannot be restored" in message


@pytest.mark.parametrize("length", [0, 100, 1_000_000])
def test_a_truncated_pack_is_said_with_the_file(
    storage: FaultyStorage, backed_up: DirectoryEntry, target: Path, length: int
) -> None:
    pack = only(storage, "p")
    storage.put(pack, storage.get(pack)[:length])
    message = restore_damaged(storage, backed_up, target)
    assert "cannot be restored" in message
    assert pack in message


def test_a_store_that_answers_with_too_few_bytes(
    storage: FaultyStorage, backed_up: DirectoryEntry, target: Path
) -> None:
    storage.shorten(by=1, prefix="p", times=10)
    assert "cannot be restored" in restore_damaged(storage, backed_up, target)


def test_a_missing_index_is_said(storage: FaultyStorage, backed_up: DirectoryEntry, target: Path) -> None:
    storage.delete(only(storage, "x"))
    assert f"the content {backed_up.object_id} is in no index" in restore_damaged(storage, backed_up, target)


def test_a_store_that_stops_answering_is_a_temporary_error(
    storage: FaultyStorage, backed_up: DirectoryEntry, target: Path
) -> None:
    storage.fail("get", errors.StorageUnavailableError("no answer"), prefix="p", times=100)
    before = open_descriptors()
    with open_in(storage) as repository, pytest.raises(errors.StorageUnavailableError, match="no answer"):
        put_back(repository, backed_up, target)
    assert open_descriptors() == before


# Space, sparse files, stopping, privileges


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("sizes", [[1_500_000], [3000] * 500])
def test_a_full_disk_is_said(repository: Repository, folder: Path, small_disk: Path, sizes: list[int]) -> None:
    for i, size in enumerate(sizes):
        (folder / f"{i}").write_bytes(np.random.default_rng(i).bytes(size))
    root = back_up(repository, folder)
    before = open_descriptors()
    with pytest.raises(errors.TargetError, match=r"no space is left at the target.*the restore is incomplete"):
        put_back(repository, root, small_disk)
    assert open_descriptors() == before


_WITH_LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from tests.unit.kopia.unprivileged import restore_latest
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
print(restore_latest(FilesystemStorage(sys.argv[2]), sys.argv[1])["message"])
"""


def test_a_file_that_may_not_become_so_large_is_said(folder: Path, target: Path, tmp_path: Path) -> None:
    (folder / "file").write_bytes(bytes(500_000))
    with open_in(FilesystemStorage(tmp_path / "repository", create=True)) as repository:
        back_up(repository, folder)
    arguments = [sys.executable, "-c", _WITH_LIMIT, str(target), str(tmp_path / "repository")]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"'{target}/file' cannot be written: File too large\n"


def block_count(path: Path) -> int:
    return path.stat().st_blocks


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(1),
        bytes(4096),
        bytes(1_000_000),
        bytes(300_000) + b"x" + bytes(300_000),
        b"x" + bytes(300_000),
        bytes(300_000) + b"x",
        bytes(4095) + b"x" + bytes(4096) + b"y",
    ],
)
def test_sparse_files_have_the_same_bytes_in_less_space(
    repository: Repository, folder: Path, target: Path, data: bytes
) -> None:
    (folder / "file").write_bytes(data)
    root = back_up(repository, folder)
    put_back(repository, root, target, sparse=True)
    assert describe(target) == describe(folder)
    if len(data) > 100_000:
        assert block_count(target / "file") <= 16 < block_count(folder / "file")


def test_without_sparse_files_zeros_are_written(repository: Repository, folder: Path, target: Path) -> None:
    (folder / "file").write_bytes(bytes(300_000))
    put_back(repository, back_up(repository, folder), target)
    assert block_count(target / "file") >= 300_000 // 512


class _Countdown(threading.Event):
    """Is set from the n-th time on that it is asked."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at

    def is_set(self) -> bool:
        self._left -= 1
        return self._left <= 0


@pytest.mark.parametrize("at", [1, 2, 10, 100, 150])
def test_a_canceled_restore_stops(repository: Repository, folder: Path, target: Path, at: int) -> None:
    make_tree(folder)
    root = back_up(repository, folder)
    before = open_descriptors()
    with pytest.raises(errors.CanceledError, match="the target is incomplete"):
        put_back(repository, root, target, canceled=_Countdown(at))
    assert open_descriptors() == before


@pytest.fixture
def others_files(tmp_path: Path) -> Path:
    """A repository with a folder that belongs to somebody else."""
    volume = tmp_path / "volume"
    (volume / "below").mkdir(parents=True)
    (volume / "file").write_bytes(b"data")
    os.symlink("file", volume / "link")
    for path in (volume, volume / "below", volume / "file", volume / "link"):
        os.chown(path, 4242, 4242, follow_symlinks=False)
    with open_in(FilesystemStorage(tmp_path / "repository", create=True)) as repository:
        back_up(repository, volume)
    return tmp_path / "repository"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
@pytest.mark.parametrize("owner", [65534, 0])
def test_owners_that_cannot_be_set_are_counted(others_files: Path, target: Path, owner: int) -> None:
    target.mkdir()
    target.chmod(0o777)
    os.chown(target, owner, owner)
    result = run_unprivileged("restore", target, others_files)
    # Four owners; where the target belongs to root, its mode and time too.
    assert result == {"files": 1, "attributes_not_restored": 4 if owner else 6}
    after = describe(target)
    assert after[b"./file"].data == b"data"
    assert {node.owner for name, node in after.items() if name != b"."} == {(65534, 65534)}


@needs_root
def test_folders_are_closed_after_what_is_in_them_is_finished(tmp_path: Path, target: Path) -> None:
    inside = tmp_path / "volume" / "closed" / "inside"
    inside.mkdir(parents=True)
    inside.chmod(0o711)
    (tmp_path / "volume" / "closed").chmod(0)
    with open_in(FilesystemStorage(tmp_path / "repository", create=True)) as repository:
        back_up(repository, tmp_path / "volume")
    target.mkdir()
    os.chown(target, 65534, 65534)
    assert run_unprivileged("restore", target, tmp_path / "repository") == {"files": 0, "attributes_not_restored": 3}
    after = describe(target)
    assert (after[b"./closed"].mode, after[b"./closed/inside"].mode) == (0, 0o711)


@needs_root
def test_a_target_without_permission_is_said(others_files: Path, target: Path) -> None:
    target.mkdir(mode=0o755)
    result = run_unprivileged("restore", target, others_files)
    assert result["error"] == "TargetError"
    assert result["message"].endswith("cannot be written: Permission denied")


def test_lost_attributes_are_logged_once(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = RestoreTarget(str(target))

    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    with contextlib.closing(opened), caplog.at_level(logging.WARNING):
        opened._attempt(refuse, "a")
        opened._attempt(refuse, "b")
    assert opened.attributes_not_restored == 2
    assert [record.getMessage() for record in caplog.records] == [
        (
            "an owner, mode or time of 'a' cannot be restored ([Errno 1] Operation not permitted); "
            "further ones are only counted"
        )
    ]
