from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.testing.faulty_storage import FaultyStorage, KillingStorage
from velero_py_plugin.testing.memory_storage import MemoryStorage
from velero_py_plugin.testing.storage_contract import StorageContract


class TestFaultyStorageWithoutFaults(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return FaultyStorage(MemoryStorage())


class TestKillingStorageBeforeItKills(StorageContract):
    @pytest.fixture
    def storage(self) -> Storage:
        return KillingStorage(MemoryStorage(), nth=1_000_000, moment="before")


@pytest.fixture
def inner() -> MemoryStorage:
    storage = MemoryStorage()
    for name in ("p1", "p2", "x1"):
        storage.put(name, b"0123456789")
    return storage


@pytest.fixture
def faulty(inner: MemoryStorage) -> FaultyStorage:
    return FaultyStorage(inner)


_UNAVAILABLE = errors.StorageUnavailableError("the test says so")


def test_only_the_chosen_calls_fail(faulty: FaultyStorage) -> None:
    faulty.fail("get", _UNAVAILABLE, nth=2, times=2)
    assert faulty.get("p1")
    for name in ("p2", "x1"):
        with pytest.raises(errors.StorageUnavailableError):
            faulty.get(name)
    assert faulty.get("p1")


def test_only_the_chosen_blobs_fail(faulty: FaultyStorage) -> None:
    faulty.fail("get", _UNAVAILABLE, prefix="x")
    assert faulty.get("p1")
    with pytest.raises(errors.StorageUnavailableError):
        faulty.get("x1")


def test_every_method_can_fail(faulty: FaultyStorage, inner: MemoryStorage) -> None:
    faulty.fail("put", _UNAVAILABLE)
    faulty.fail("delete", _UNAVAILABLE)
    faulty.fail("metadata", _UNAVAILABLE)
    faulty.fail("list", _UNAVAILABLE)
    with pytest.raises(errors.StorageUnavailableError):
        faulty.put("p3", b"")
    with pytest.raises(errors.StorageUnavailableError):
        faulty.delete("p1")
    with pytest.raises(errors.StorageUnavailableError):
        faulty.metadata("p1")
    with pytest.raises(errors.StorageUnavailableError):
        list(faulty.list())
    assert sorted(blob.blob_id for blob in inner.list()) == ["p1", "p2", "x1"]


def test_a_call_may_be_carried_out_and_fail_all_the_same(faulty: FaultyStorage, inner: MemoryStorage) -> None:
    faulty.fail("put", _UNAVAILABLE, after_the_call=True)
    with pytest.raises(errors.StorageUnavailableError):
        faulty.put("p3", b"stored")
    assert inner.get("p3") == b"stored"


def test_a_listing_may_fail_at_its_end(faulty: FaultyStorage) -> None:
    faulty.fail("list", _UNAVAILABLE, after_the_call=True)
    listing = faulty.list("p")
    assert [next(listing).blob_id, next(listing).blob_id] == ["p1", "p2"]
    with pytest.raises(errors.StorageUnavailableError):
        next(listing)


def test_damaged_reads(faulty: FaultyStorage) -> None:
    faulty.shorten(by=3)
    faulty.flip(offset=0, nth=2)
    faulty.flip(offset=-1, nth=3)
    assert faulty.get("p1") == b"0123456"
    assert faulty.get("p1") == b"p123456789"
    assert faulty.get("p1") == b"012345678y"
    assert faulty.get("p1") == b"0123456789"


def test_calls_are_recorded_in_order(faulty: FaultyStorage) -> None:
    faulty.put("p9", b"")
    faulty.put("x9", b"")
    list(faulty.list("x"))
    faulty.metadata("x9")
    faulty.delete("p9")
    faulty.close()
    assert faulty.calls == [("put", "p9"), ("put", "x9"), ("list", "x"), ("metadata", "x9"), ("delete", "p9")]


_VICTIM = """
import sys, threading
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.testing.faulty_storage import KillingStorage
storage = KillingStorage(FilesystemStorage(sys.argv[1], create=True), nth=int(sys.argv[3]), moment=sys.argv[2])
def write():
    storage.put("p1", b"1" * 100_000)
    storage.put("p2", b"2" * 100_000)
    storage.delete("p1")
    storage.put("p3", b"")
worker = threading.Thread(target=write)
worker.start()
worker.join()
print("survived")
"""


@pytest.mark.parametrize(
    ("moment", "nth", "left", "partial"),
    [
        ("before", 2, {"p1": 100_000}, []),
        ("within", 2, {"p1": 100_000}, [50_000]),
        ("after", 2, {"p1": 100_000, "p2": 100_000}, []),
        ("before", 3, {"p1": 100_000, "p2": 100_000}, []),
        ("within", 3, {"p2": 100_000}, []),
        ("within", 4, {"p2": 100_000, "p3": 0}, []),
        ("after", 4, {"p2": 100_000, "p3": 0}, []),
    ],
)
def test_the_process_dies_at_the_chosen_write(
    tmp_path: Path, moment: str, nth: int, left: dict[str, int], partial: list[int]
) -> None:
    arguments = [sys.executable, "-c", _VICTIM, str(tmp_path), moment, str(nth)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode in (-signal.SIGKILL, -signal.SIGXFSZ), result.stderr
    assert result.stdout == ""
    assert {blob.blob_id: blob.length for blob in FilesystemStorage(tmp_path).list()} == left
    assert [os.path.getsize(path) for path in tmp_path.glob("*.tmp.*")] == partial
