from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.format import format_blob
from velero_py_plugin.kopia.format.parameters import FormatParameters
from velero_py_plugin.testing.faulty_storage import FaultyStorage
from velero_py_plugin.testing.memory_storage import MemoryStorage

PASSWORD = "static-passw0rd"


def names(storage: MemoryStorage | FaultyStorage) -> list[str]:
    return sorted(blob.blob_id for blob in storage.list())


def test_a_new_repository_is_what_velero_makes() -> None:
    storage = FaultyStorage(MemoryStorage())
    with kopia_repository.create_repository(storage, PASSWORD) as repository:
        parameters = repository.format.parameters
        assert (parameters.version, parameters.index_version, parameters.max_pack_size) == (3, 2, 20 << 20)
        assert parameters.splitter == "DYNAMIC-4M-BUZHASH"
        [maintenance] = repository.manifests.find({"type": "maintenance"})
        assert maintenance.data == {
            "owner": "default@default",
            "quick": {"enabled": True, "interval": 3_600_000_000_000},
            "full": {"enabled": True, "interval": 86_400_000_000_000},
            "logRetention": {"maxTotalSize": 1073741824, "maxCount": 10000, "maxAge": 2_592_000_000_000_000},
            "extendObjectLocks": False,
            "listParallelism": 0,
        }
        unique_id = base64.b64encode(repository.format.unique_id).decode()
    assert json.loads(storage.get("udmrepo.Repository")) == {"uniqueID": unique_id}
    puts = [name for method, name in storage.calls if method == "put"]
    assert puts[:2] == ["kopia.blobcfg", "kopia.repository"]
    assert puts[-1] == "udmrepo.Repository"  # without it Velero takes the repository for half made
    assert [name[0] for name in names(storage)] == ["k", "k", "q", "u", "x"]


def test_a_repository_opens_with_its_password_and_no_other() -> None:
    storage = MemoryStorage()
    with kopia_repository.create_repository(storage, PASSWORD) as repository:
        unique_id = repository.format.unique_id
    with kopia_repository.open_repository(storage, PASSWORD) as repository:
        assert repository.format.unique_id == unique_id
    with pytest.raises(errors.WrongPasswordError):
        kopia_repository.open_repository(storage, "another")


def test_an_empty_place_has_no_repository() -> None:
    with pytest.raises(errors.RepositoryNotFoundError, match="no repository in memory"):
        kopia_repository.open_repository(MemoryStorage(), PASSWORD)


def test_nothing_is_created_in_a_place_that_is_used() -> None:
    storage = MemoryStorage()
    storage.put("something", b"")
    with pytest.raises(errors.RepositoryExistsError, match="memory holds something"):
        kopia_repository.create_repository(storage, PASSWORD)
    assert names(storage) == ["something"]


def test_what_one_client_flushes_another_sees_after_a_refresh() -> None:
    storage = MemoryStorage()
    with (
        kopia_repository.create_repository(storage, PASSWORD) as first,
        kopia_repository.open_repository(storage, PASSWORD) as second,
    ):
        object_id = first.objects.write_bytes(b"data")
        first.manifests.put({"type": "x"}, 1)
        first.flush()
        assert second.manifests.find({"type": "x"}) == []
        second.refresh()
        assert [manifest.data for manifest in second.manifests.find({"type": "x"})] == [1]
        assert second.objects.read(object_id) == b"data"


class _Closable(MemoryStorage):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_closing_closes_the_storage_and_gives_up_what_was_not_flushed() -> None:
    storage = _Closable()
    with kopia_repository.create_repository(storage, PASSWORD) as repository:
        before = names(storage)
        repository.objects.write_bytes(b"data")
    assert storage.closed == 1
    assert names(storage) == before


def test_preparing_creates_once_and_then_checks(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/backup/kopia/app"
    first = kopia_repository.prepare_repository(url, PASSWORD)
    assert len(base64.b64decode(first)) == 32
    assert kopia_repository.prepare_repository(url, PASSWORD) == first
    with kopia_repository.open_repository(FilesystemStorage(tmp_path / "backup/kopia/app"), PASSWORD) as repository:
        assert len(repository.manifests.find({"type": "maintenance"})) == 1
    with pytest.raises(errors.WrongPasswordError):
        kopia_repository.prepare_repository(url, "another")


def test_preparing_finishes_what_another_client_began(tmp_path: Path) -> None:
    # kopia's own command makes no marker, and an interrupted Velero neither marker nor maintenance parameters.
    storage = FilesystemStorage(tmp_path, create=True)
    made = format_blob.create(storage, PASSWORD, FormatParameters())
    unique_id = kopia_repository.prepare_repository(f"file://{tmp_path}", PASSWORD)
    assert base64.b64decode(unique_id) == made.unique_id
    assert json.loads(storage.get("udmrepo.Repository")) == {"uniqueID": unique_id}
    with kopia_repository.open_repository(storage, PASSWORD) as repository:
        assert len(repository.manifests.find({"type": "maintenance"})) == 1


@pytest.mark.parametrize("marker", [b'{"uniqueID":"AAAA"}', b"{}", b"[]", b"x", b""])
def test_a_marker_of_another_repository_is_refused(tmp_path: Path, marker: bytes) -> None:
    kopia_repository.prepare_repository(f"file://{tmp_path}", PASSWORD)
    FilesystemStorage(tmp_path).put("udmrepo.Repository", marker)
    with pytest.raises(errors.CorruptRepositoryError, match=r"udmrepo\.Repository"):
        kopia_repository.prepare_repository(f"file://{tmp_path}", PASSWORD)


def test_a_place_with_other_files_is_not_prepared(tmp_path: Path) -> None:
    FilesystemStorage(tmp_path, create=True).put("p" + "0" * 32, b"")
    with pytest.raises(errors.RepositoryExistsError):
        kopia_repository.prepare_repository(f"file://{tmp_path}", PASSWORD)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda storage: storage.put("kopia.repository", b"{"), errors.CorruptRepositoryError),
        (lambda storage: storage.delete("kopia.repository"), errors.RepositoryNotFoundError),
        (lambda storage: storage.put("kopia.blobcfg", b"x"), errors.WrongPasswordError),
        (lambda storage: storage.put("xn0_" + "0" * 32 + "-s1-c1", b"x"), errors.CorruptRepositoryError),
    ],
)
def test_a_damaged_repository_does_not_open(
    damage: Callable[[MemoryStorage], None], error: type[errors.RepositoryError]
) -> None:
    storage = MemoryStorage()
    kopia_repository.create_repository(storage, PASSWORD).close()
    damage(storage)
    with pytest.raises(error):
        kopia_repository.open_repository(storage, PASSWORD)


def test_a_store_without_a_companion_blob_opens() -> None:
    storage = MemoryStorage()
    kopia_repository.create_repository(storage, PASSWORD).close()
    storage.delete("kopia.blobcfg")
    kopia_repository.open_repository(storage, PASSWORD).close()


@pytest.mark.parametrize("method", ["get", "list"])
def test_a_store_that_does_not_answer_is_a_temporary_error(method: str) -> None:
    inner = MemoryStorage()
    kopia_repository.create_repository(inner, PASSWORD).close()
    storage = FaultyStorage(inner)
    storage.fail("get" if method == "get" else "list", errors.StorageUnavailableError("no answer"))
    with pytest.raises(errors.StorageUnavailableError, match="no answer"):
        kopia_repository.open_repository(storage, PASSWORD)
