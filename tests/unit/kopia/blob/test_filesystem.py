from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.testing.storage_contract import BLOB_NAMES, StorageContract

_PACK = "p0123456789abcdef0123456789abcdef-s0123456789abcdef147"
_PACK_PATH = "p/012/3456789abcdef0123456789abcdef-s0123456789abcdef147.f"


class TestFilesystemStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        storage = FilesystemStorage(tmp_path / "store", create=True)
        yield storage
        storage.close()


class TestLegacyLayout(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return FilesystemStorage(tmp_path)


class TestLayoutWithOverrides(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        tmp_path.joinpath(".shards").write_text(
            '{"default":[2,2],"maxNonShardedLength":4,"overrides":[{"prefix":"x","shards":[]},{"prefix":"_","shards":[5,8]}]}'
        )
        return FilesystemStorage(tmp_path)


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_creating_makes_kopias_layout(tmp_path: Path) -> None:
    root = tmp_path / "a" / "store"
    storage = FilesystemStorage(str(root), create=True)
    storage.put("kopia.repository", b"format")
    storage.put(_PACK, b"pack")
    assert root.joinpath(".shards").read_bytes() == b'{"default":[1,3],"maxNonShardedLength":20}\n'
    assert root.joinpath("kopia.repository.f").read_bytes() == b"format"
    assert root.joinpath(_PACK_PATH).read_bytes() == b"pack"
    assert _files(root) == {".shards", "kopia.repository.f", _PACK_PATH}


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    root = tmp_path / "store"
    FilesystemStorage(root, create=True).put(_PACK, b"pack")
    for path in (root, *root.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_creating_again_keeps_the_parameters(tmp_path: Path) -> None:
    tmp_path.joinpath(".shards").write_text('{"default":[4],"maxNonShardedLength":5}')
    FilesystemStorage(tmp_path, create=True).put(_PACK, b"pack")
    assert tmp_path.joinpath(_PACK[:4], _PACK[4:] + ".f").exists()
    assert tmp_path.joinpath(".shards").read_text() == '{"default":[4],"maxNonShardedLength":5}'


def test_opening_writes_nothing(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path)
    assert list(storage.list()) == []
    assert list(tmp_path.iterdir()) == []


def test_an_old_repository_keeps_its_layout_even_when_opened_to_create(tmp_path: Path) -> None:
    tmp_path.joinpath("kopia.repository.f").write_bytes(b"format")
    tmp_path.joinpath("p01", "234").mkdir(parents=True)
    tmp_path.joinpath("p01", "234", _PACK[6:] + ".f").write_bytes(b"old pack")
    assert FilesystemStorage(tmp_path, create=True).get(_PACK) == b"old pack"
    assert not tmp_path.joinpath(".shards").exists()


def test_damaged_parameters_stop_the_opening(tmp_path: Path) -> None:
    tmp_path.joinpath(".shards").write_text("[1,3]")
    with pytest.raises(errors.CorruptRepositoryError):
        FilesystemStorage(tmp_path, create=True)


def test_files_that_are_no_complete_blobs_are_not_listed(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path, create=True)
    storage.put(_PACK, b"pack")
    folder = tmp_path / "p" / "012"
    folder.joinpath("99.f.tmp.0123456789abcdef").write_bytes(b"half")
    folder.joinpath("README").write_bytes(b"")
    folder.joinpath("no blob name.f").write_bytes(b"")
    tmp_path.joinpath(os.fsdecode(b"\xff\xfe.f")).write_bytes(b"")
    tmp_path.joinpath("lost+found").mkdir()
    tmp_path.joinpath("dangling.f").symlink_to("nowhere")
    assert [blob.blob_id for blob in storage.list()] == [_PACK]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.StorageError, match="does not exist"):
        FilesystemStorage(tmp_path / "absent")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(errors.StorageError, match="no folder"):
        FilesystemStorage(tmp_path / "file")
    with pytest.raises(errors.StorageError, match="create the folder"):
        FilesystemStorage(tmp_path / "file", create=True)


def test_a_folder_that_goes_away_is_no_missing_blob(tmp_path: Path) -> None:
    root = tmp_path / "mount"
    storage = FilesystemStorage(root, create=True)
    storage.put(_PACK, b"pack")
    root.rename(tmp_path / "unmounted")
    for operation in (storage.get, storage.metadata, storage.delete, lambda name: storage.put(name, b"data")):
        with pytest.raises(errors.StorageError, match="does not exist") as raised:
            operation(_PACK)
        assert not isinstance(raised.value, errors.CorruptRepositoryError)
    with pytest.raises(errors.StorageError, match="does not exist"):
        list(storage.list())
    assert not root.exists()


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path, create=True)
    tmp_path.joinpath("xe1.f").mkdir()
    with pytest.raises(errors.StorageError, match="write blob xe1"):
        storage.put("xe1", b"data")
    assert _files(tmp_path) == {".shards"}


def test_a_write_that_fails_midway_leaves_nothing_behind() -> None:
    code = """
import os, resource, tempfile
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
with tempfile.TemporaryDirectory() as folder:
    storage = FilesystemStorage(folder, create=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        storage.put("xe1", b"x" * 5000)
    except errors.StorageError as error:
        print(error)
    print(os.listdir(folder))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Cannot write blob xe1 in file://" in result.stdout
    assert "File too large" in result.stdout
    assert result.stdout.endswith("['.shards']\n")


@pytest.mark.parametrize(
    ("number", "expected", "words"),
    [
        (errno.ENOSPC, errors.StorageError, "no space is left"),
        (errno.EDQUOT, errors.StorageError, "quota"),
        (errno.EROFS, errors.StorageError, "read-only"),
        (errno.EACCES, errors.StorageError, "permission"),
        (errno.EPERM, errors.StorageError, "permission"),
        (errno.ENAMETOOLONG, errors.StorageError, "File name too long"),
        (errno.EIO, errors.StorageUnavailableError, "for now"),
        (errno.ESTALE, errors.StorageUnavailableError, "for now"),
    ],
)
def test_errors_of_the_system(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: type[Exception],
    words: str,
) -> None:
    storage = FilesystemStorage(tmp_path, create=True)
    storage.put("xe1", b"data")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    monkeypatch.setattr(os, "unlink", fail)
    monkeypatch.setattr(os, "scandir", fail)
    for operation in (
        lambda: storage.get("xe1"),
        lambda: storage.put("xe2", b""),
        lambda: storage.delete("xe1"),
        lambda: list(storage.list()),
    ):
        with pytest.raises(expected, match=words) as raised:
            operation()
        assert str(tmp_path) in str(raised.value)


def test_a_file_system_that_cannot_flush_folders_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FilesystemStorage(tmp_path, create=True)
    flush = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    storage.put(_PACK, b"pack")
    assert storage.get(_PACK) == b"pack"


def test_a_folder_that_fails_to_flush_fails_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FilesystemStorage(tmp_path, create=True)

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(errors.StorageUnavailableError, match="write blob"):
        storage.put(_PACK, b"pack")


def test_file_and_folders_are_flushed_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FilesystemStorage(tmp_path, create=True)
    flushed: list[str] = []
    flush = os.fsync

    def record(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(tmp_path)))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    storage.put(_PACK, b"pack")
    assert flushed[:2] == ["", "/p"]
    assert flushed[2].startswith(f"/{_PACK_PATH}.tmp.")
    assert flushed[3:] == ["/p/012"]


def test_every_pattern_of_names_has_its_own_file(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path, create=True)
    for name in BLOB_NAMES:
        storage.put(name, b"")
    assert len(_files(tmp_path)) == len(BLOB_NAMES) + 1


def test_the_store_is_named_by_its_folder(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path)
    assert storage.display_name == f"file://{tmp_path}"
    assert storage.path == str(tmp_path)
