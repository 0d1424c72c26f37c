"""What every storage backend must do, as pytest tests to inherit.

A backend's test module derives a class and gives it a store::

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def storage(self) -> Iterator[Storage]:
            yield MyStorage(...)

The store must be empty at the start of each test.
"""

# This module is a test suite: it asserts, and each test method is its own description.
# ruff: noqa: S101, D102

from __future__ import annotations

import concurrent.futures
import hashlib
import random
import time

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.storage import Storage

#: One name of each pattern that kopia v0.13 to v0.23 and Velero give their blobs.
BLOB_NAMES = (
    "kopia.repository",
    "kopia.blobcfg",
    "kopia.repository.backup.owner-1",
    "kopia.maintenance",
    "p677aebc3a1bcb59a3b0bb2ea9a0b0cb4-s1ae8acb647bf33e9147",
    "q677aebc3a1bcb59a3b0bb2ea9a0b0cb4-s1ae8acb647bf33e9147",
    "xn0_ae251e5697f9a064ad1dbfb05c9fcb05-s1ae8acb647bf33e9147-c1",
    "xs12_ae251e5697f9a064ad1dbfb05c9fcb05-s1ae8acb647bf33e9-c16",
    "xr0_6_ae251e5697f9a064ad1dbfb05c9fcb05-s1ae8acb647bf33e9-c1",
    "xe7",
    "xw1795268999",
    "nae251e5697f9a064ad1dbfb05c9fcb05",
    "nae251e5697f9a064ad1dbfb05c9fcb05-s1ae8acb647bf33e9147",
    "mae251e5697f9a064ad1dbfb05c9fcb05",
    "lae251e5697f9a064ad1dbfb05c9fcb05",
    "sae251e5697f9a064ad1dbfb05c9fcb05-s1ae8acb647bf33e9147",
    "_log_20261121131245_a0f1_1795268999_1795269001_1_ae251e5697f9a064ad1dbfb05c9fcb05",
    "udmrepo.Repository",
)

_PACK = "p0123456789abcdef0123456789abcdef-s0123456789abcdef147"
_MISSING = "pffffffffffffffffffffffffffffffff-s0123456789abcdef147"


class StorageContract:
    """The tests.

    Attributes:
        clock_tolerance: Seconds by which the store's timestamps may differ from this machine's clock.
    """

    clock_tolerance = 5.0

    @pytest.fixture
    def storage(self) -> Storage:
        """An empty store; the inheriting class provides it."""
        raise NotImplementedError

    def test_a_blob_comes_back_as_it_was_put(self, storage: Storage) -> None:
        storage.put(_PACK, b"\x00\xffpayload\r\n")
        data = storage.get(_PACK)
        assert data == b"\x00\xffpayload\r\n"
        assert isinstance(data, bytes)

    def test_an_empty_blob_is_a_blob(self, storage: Storage) -> None:
        storage.put(_PACK, b"")
        assert storage.get(_PACK) == b""
        assert storage.metadata(_PACK).length == 0
        assert [blob.blob_id for blob in storage.list()] == [_PACK]

    def test_put_replaces(self, storage: Storage) -> None:
        storage.put(_PACK, b"the first, longer content")
        storage.put(_PACK, b"second")
        assert storage.get(_PACK) == b"second"
        assert storage.metadata(_PACK).length == 6
        assert len(list(storage.list())) == 1

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            (0, 1, b"0"),
            (0, 10, b"0123456789"),
            (3, 4, b"3456"),
            (9, 1, b"9"),
            (0, -1, b"0123456789"),
            (4, -1, b"456789"),
            (10, -1, b""),
            (0, 0, b""),
            (5, 0, b""),
            (10, 0, b""),
        ],
    )
    def test_a_range_is_exact(self, storage: Storage, offset: int, length: int, expected: bytes) -> None:
        storage.put(_PACK, b"0123456789")
        assert storage.get(_PACK, offset, length) == expected

    @pytest.mark.parametrize(("offset", "length"), [(0, 11), (9, 2), (10, 1), (11, 1), (11, 0), (11, -1), (500, 10)])
    def test_a_range_beyond_the_end_is_corruption(self, storage: Storage, offset: int, length: int) -> None:
        storage.put(_PACK, b"0123456789")
        with pytest.raises(errors.CorruptRepositoryError, match=_PACK) as raised:
            storage.get(_PACK, offset, length)
        assert not isinstance(raised.value, errors.BlobMissingError)

    @pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, -1), (0, 0)])
    def test_a_range_of_an_empty_blob(self, storage: Storage, offset: int, length: int) -> None:
        storage.put(_PACK, b"")
        if length > 0:
            with pytest.raises(errors.CorruptRepositoryError):
                storage.get(_PACK, offset, length)
        else:
            assert storage.get(_PACK, offset, length) == b""

    @pytest.mark.parametrize(("offset", "length"), [(0, -1), (0, 1), (7, 3), (0, 0), (5, -1)])
    def test_reading_a_missing_blob(self, storage: Storage, offset: int, length: int) -> None:
        storage.put(_PACK, b"present")
        with pytest.raises(errors.BlobMissingError, match=_MISSING):
            storage.get(_MISSING, offset, length)

    def test_looking_up_a_missing_blob(self, storage: Storage) -> None:
        with pytest.raises(errors.BlobMissingError, match=_MISSING):
            storage.metadata(_MISSING)

    def test_delete_removes_only_that_blob(self, storage: Storage) -> None:
        for name in (_PACK, _PACK + "0", "xe1"):
            storage.put(name, b"data")
        storage.delete(_PACK)
        with pytest.raises(errors.BlobMissingError):
            storage.get(_PACK)
        assert {blob.blob_id for blob in storage.list()} == {_PACK + "0", "xe1"}

    def test_deleting_a_missing_blob_succeeds(self, storage: Storage) -> None:
        storage.delete(_MISSING)
        storage.put(_MISSING, b"now it exists")
        storage.delete(_MISSING)
        storage.delete(_MISSING)
        assert list(storage.list()) == []

    def test_metadata_agrees_with_the_listing_and_the_clock(self, storage: Storage) -> None:
        before = time.time()
        storage.put("xe1", b"12345")
        storage.put(_PACK, b"1234567")
        after = time.time()
        listed = {blob.blob_id: blob for blob in storage.list()}
        assert listed.keys() == {"xe1", _PACK}
        for name, length in (("xe1", 5), (_PACK, 7)):
            looked_up = storage.metadata(name)
            assert looked_up.blob_id == name
            assert looked_up.length == listed[name].length == length
            for timestamp in (looked_up.timestamp, listed[name].timestamp):
                assert before - self.clock_tolerance <= timestamp <= after + self.clock_tolerance

    def test_replacing_never_makes_a_blob_older(self, storage: Storage) -> None:
        storage.put(_PACK, b"first")
        first = storage.metadata(_PACK).timestamp
        storage.put(_PACK, b"second")
        assert storage.metadata(_PACK).timestamp >= first

    def test_names_of_every_pattern(self, storage: Storage) -> None:
        for name in BLOB_NAMES:
            storage.put(name, name.encode())
        assert sorted(blob.blob_id for blob in storage.list()) == sorted(BLOB_NAMES)
        for name in BLOB_NAMES:
            assert storage.get(name) == name.encode()
            assert storage.metadata(name).length == len(name)
            storage.delete(name)
        assert list(storage.list()) == []

    @pytest.mark.parametrize(
        "prefix",
        [
            "",
            "p",
            "q",
            "x",
            "xn",
            "xn0_",
            "xs12_ae",
            "_log_",
            "kopia",
            "kopia.r",
            "kopia.repository",
            "nae251e5",
            "z",
        ],
    )
    def test_listing_by_prefix(self, storage: Storage, prefix: str) -> None:
        for name in BLOB_NAMES:
            storage.put(name, b"")
        expected = sorted(name for name in BLOB_NAMES if name.startswith(prefix))
        assert sorted(blob.blob_id for blob in storage.list(prefix)) == expected

    def test_listing_by_a_whole_name(self, storage: Storage) -> None:
        storage.put(_PACK, b"")
        storage.put(_PACK + "0", b"")
        assert {blob.blob_id for blob in storage.list(_PACK)} == {_PACK, _PACK + "0"}
        assert list(storage.list(_PACK + "1")) == []

    def test_blobs_may_be_deleted_while_they_are_listed(self, storage: Storage) -> None:
        names = {f"p{number:032x}-s0123456789abcdef147" for number in range(40)}
        for name in names:
            storage.put(name, b"")
        for blob in storage.list("p"):
            storage.delete(blob.blob_id)
            names.remove(blob.blob_id)
        assert names == set()
        assert list(storage.list()) == []

    @pytest.mark.parametrize("size", [1_000_000, 30_000_000])
    def test_large_blobs(self, storage: Storage, size: int) -> None:
        data = random.Random(size).randbytes(size)
        storage.put(_PACK, data)
        assert hashlib.sha256(storage.get(_PACK)).digest() == hashlib.sha256(data).digest()
        assert storage.get(_PACK, size - 5, 5) == data[-5:]
        assert storage.get(_PACK, size // 2, 100_000) == data[size // 2 : size // 2 + 100_000]
        assert storage.metadata(_PACK).length == size

    def test_any_buffer_can_be_put(self, storage: Storage) -> None:
        buffer = bytearray(b"--buffer--")
        storage.put("xe1", buffer)
        storage.put("xe2", memoryview(buffer)[2:8])
        storage.put("xe3", memoryview(bytes(buffer))[2:2])
        buffer[:] = b"overwrite!"
        assert storage.get("xe1") == b"--buffer--"
        assert storage.get("xe2") == b"buffer"
        assert storage.get("xe3") == b""

    def test_threads_work_in_parallel(self, storage: Storage) -> None:
        def work(number: int) -> None:
            name = f"p{number:032x}-s0123456789abcdef147"
            data = name.encode() * (number + 1)
            storage.put(name, data)
            assert storage.get(name) == data
            assert storage.get(name, number, 5) == data[number : number + 5]
            assert storage.metadata(name).length == len(data)
            assert name in {blob.blob_id for blob in storage.list(name)}
            if number % 2:
                storage.delete(name)

        with concurrent.futures.ThreadPoolExecutor(16) as executor:
            list(executor.map(work, range(64)))
        assert len(list(storage.list("p"))) == 32

    def test_a_reader_never_sees_a_half_replaced_blob(self, storage: Storage) -> None:
        contents = [bytes([number]) * 300_000 for number in range(8)]
        storage.put("xe1", contents[0])
        with concurrent.futures.ThreadPoolExecutor(4) as executor:
            writes = [executor.submit(storage.put, "xe1", content) for content in contents]
            while not all(write.done() for write in writes):
                assert storage.get("xe1") in contents
        for write in writes:
            write.result()
        assert storage.get("xe1") in contents

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../escape", "p/1", "/etc/passwd", "p\x00", "p..q", ".shards", "p\n", "pä"]
    )
    def test_names_no_blob_can_have_are_refused(self, storage: Storage, name: str) -> None:
        for operation in (storage.get, storage.metadata, storage.delete):
            with pytest.raises(errors.CorruptRepositoryError):
                operation(name)
        with pytest.raises(errors.CorruptRepositoryError):
            storage.put(name, b"data")
        assert list(storage.list()) == []

    def test_the_store_can_be_named(self, storage: Storage) -> None:
        assert storage.display_name
