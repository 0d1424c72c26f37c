from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.unit.kopia.sample import DELETED_ENTRY, LIVE_ENTRY, PARAMETERS
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.storage import BlobMetadata, Storage
from velero_py_plugin.kopia.codec import encryption, hashing
from velero_py_plugin.kopia.content import index_v2
from velero_py_plugin.kopia.content.index_blobs import IndexBlobs, blob_iv
from velero_py_plugin.testing.faulty_storage import FaultyStorage
from velero_py_plugin.testing.memory_storage import MemoryStorage

HASH_OF = hashing.hash_function(PARAMETERS.hash, PARAMETERS.secret)
ENCRYPTOR = encryption.Encryptor(PARAMETERS.encryption, PARAMETERS.master_key)
SESSION = "s0011223344556677147"
LIVE, DELETED = index_v2.build([LIVE_ENTRY]), index_v2.build([DELETED_ENTRY])
OTHER = index_v2.build([LIVE_ENTRY._replace(key=b"\0" + bytes(16))])


def indexes(storage: Storage) -> IndexBlobs:
    return IndexBlobs(storage, HASH_OF, ENCRYPTOR)


def names(storage: Storage, prefix: str = "x") -> list[str]:
    return sorted(blob.blob_id for blob in storage.list(prefix))


def put_index(storage: Storage, epoch: int, index: bytes, kind: str = "xn") -> str:
    name = f"{kind}{epoch}_{HASH_OF(index).hex()}-{SESSION}-c1"
    storage.put(name, ENCRYPTOR.seal(index, blob_iv(name)))
    return name


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes at once; how long was slept is noted."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_the_iv_is_the_last_half_of_the_hash_in_the_name() -> None:
    digits = "00112233445566778899aabbccddeeff"
    assert blob_iv(f"xn0_{digits}-s1-c1").hex() == digits
    assert blob_iv(f"xn0_{'ff' * 16}{digits}-s1-c1").hex() == digits
    assert blob_iv(f"s{digits}-s1").hex() == digits


@pytest.mark.parametrize("name", ["xn0_-s1-c1", "xn0_zz112233445566778899aabbccddeeff-s1", "xn0_abc"])
def test_a_name_without_a_hash_is_damage(name: str) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="has no hash in it"):
        blob_iv(name)


def test_what_is_written_is_found_here_and_elsewhere() -> None:
    storage = MemoryStorage()
    here, elsewhere = indexes(storage), indexes(storage)
    here.write(LIVE, SESSION)
    assert names(storage) == [f"xn0_{HASH_OF(LIVE).hex()}-{SESSION}-c1"]
    assert here.table.find(LIVE_ENTRY.key) == LIVE_ENTRY
    assert elsewhere.table.find(LIVE_ENTRY.key) is None
    elsewhere.refresh()
    assert elsewhere.table.find(LIVE_ENTRY.key) == LIVE_ENTRY


def test_a_known_blob_is_not_read_again() -> None:
    storage = FaultyStorage(MemoryStorage())
    loaded = indexes(storage)
    put_index(storage, 0, LIVE)
    loaded.refresh()
    put_index(storage, 0, DELETED)
    storage.calls.clear()
    loaded.refresh()
    assert [name for method, name in storage.calls if method == "get"] == [put_index(storage, 0, DELETED)]
    assert len(loaded.table) == 2


def test_a_blob_that_was_compacted_away_is_forgotten() -> None:
    storage = MemoryStorage()
    loaded = indexes(storage)
    old = put_index(storage, 0, LIVE)
    loaded.refresh()
    storage.delete(old)
    storage.put("xe2", b"epoch-marker")
    put_index(storage, 0, LIVE, kind="xs")
    loaded.refresh()
    assert loaded.table.find(LIVE_ENTRY.key) == LIVE_ENTRY
    assert list(loaded._parsed) == names(storage, "xs")


def test_indexes_go_to_the_current_epoch() -> None:
    storage = MemoryStorage()
    storage.put("xe4", b"epoch-marker")
    indexes(storage).write(LIVE, SESSION)
    assert names(storage, "xn4_") != []


def test_a_stale_listing_is_renewed_before_writing() -> None:
    storage = MemoryStorage()
    writer = indexes(storage)
    writer.write(LIVE, SESSION)
    storage.put("xe1", b"epoch-marker")
    storage.put("xe2", b"epoch-marker")
    writer._listed_at -= 301  # as if five minutes had passed
    writer.write(OTHER, SESSION)
    assert [name.split("_")[0] for name in names(storage, "xn")] == ["xn0", "xn2"]


class _Epochs(MemoryStorage):
    """Another client advances epochs whenever an index is written."""

    def __init__(self, steps: Iterator[int]) -> None:
        super().__init__()
        self._steps = steps
        self._epoch = 0

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        super().put(blob_id, data)
        for _ in range(next(self._steps, 0)):
            self._epoch += 1
            super().put(f"xe{self._epoch}", b"epoch-marker")


def test_an_index_written_one_epoch_late_still_counts() -> None:
    storage = _Epochs(iter([1]))
    writer = indexes(storage)
    writer.write(LIVE, SESSION)
    assert names(storage) == ["xe1", f"xn0_{HASH_OF(LIVE).hex()}-{SESSION}-c1"]
    assert writer.table.find(LIVE_ENTRY.key) == LIVE_ENTRY


def test_an_index_written_two_epochs_late_is_written_again() -> None:
    # Epoch 0 may have been compacted without it by then.
    storage = _Epochs(iter([2]))
    writer = indexes(storage)
    writer.write(LIVE, SESSION)
    assert names(storage, "xn") == [f"xn2_{HASH_OF(LIVE).hex()}-{SESSION}-c1"]
    assert writer.table.find(LIVE_ENTRY.key) == LIVE_ENTRY


def test_epochs_that_never_stop_fail_the_write_and_leave_nothing() -> None:
    storage = _Epochs(iter([2, 2, 2]))
    with pytest.raises(errors.StorageUnavailableError, match="epochs moved on three times"):
        indexes(storage).write(LIVE, SESSION)
    assert names(storage, "xn") == []


class _Vanishing(MemoryStorage):
    """Maintenance replaces a blob between its listing and its reading, ``times`` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        yield from list(super().list(prefix))
        if self._times:
            self._times -= 1
            yield BlobMetadata(f"xn0_{self._times:032x}-{SESSION}-c1", 1, 0)


def test_a_blob_that_vanishes_while_it_is_read_is_no_error(no_sleep: list[float]) -> None:
    storage = _Vanishing(times=3)
    put_index(storage, 0, LIVE)
    loaded = indexes(storage)
    loaded.refresh()
    assert loaded.table.find(LIVE_ENTRY.key) == LIVE_ENTRY
    assert no_sleep == [0.1, 0.2, 0.4]


def test_blobs_that_never_stop_vanishing_are_reported(no_sleep: list[float]) -> None:
    with pytest.raises(errors.StorageUnavailableError, match="keep vanishing"):
        indexes(_Vanishing(times=100)).refresh()
    assert len(no_sleep) == 10


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "damage", [flip, lambda data: data[:-1], lambda data: b"", lambda data: ENCRYPTOR.seal(b"no index", bytes(16))]
)
def test_a_damaged_blob_is_named(damage: Callable[[bytes], bytes]) -> None:
    storage = MemoryStorage()
    name = put_index(storage, 0, LIVE)
    storage.put(name, damage(storage.get(name)))
    with pytest.raises(errors.CorruptRepositoryError, match=f"the index blob {name} is damaged"):
        indexes(storage).refresh()


def test_a_blob_that_is_no_index_is_named() -> None:
    storage = MemoryStorage()
    name = f"xn0_{HASH_OF(b'x').hex()}-{SESSION}-c1"
    storage.put(name, ENCRYPTOR.seal(b"x", blob_iv(name)))
    with pytest.raises(errors.CorruptRepositoryError, match=f"{name} is damaged: a pack index of 1 bytes is too short"):
        indexes(storage).refresh()


def test_a_failed_listing_is_passed_on() -> None:
    storage = FaultyStorage(MemoryStorage())
    storage.fail("list", errors.StorageUnavailableError("no answer"))
    with pytest.raises(errors.StorageUnavailableError, match="no answer"):
        indexes(storage).refresh()
