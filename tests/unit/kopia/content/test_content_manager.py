from __future__ import annotations

import datetime
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import pytest
import zstandard

from tests.unit.kopia.content.test_pack import read_postamble
from tests.unit.kopia.sample import EMPTY_CONTENT, repository_format, ticking
from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.kopia.codec import encryption
from velero_py_plugin.kopia.content import content_manager, index_v2
from velero_py_plugin.kopia.content.content_manager import ContentManager
from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.format.format_blob import Format
from velero_py_plugin.testing.faulty_storage import FaultyStorage
from velero_py_plugin.testing.memory_storage import MemoryStorage

NOW = 1_795_000_000
UNAVAILABLE = errors.StorageUnavailableError("the store does not answer")


@pytest.fixture
def open_manager() -> Iterator[Callable[..., ContentManager]]:
    """Opens content managers of the sample format and closes them at the end."""
    opened: list[ContentManager] = []

    def open_one(
        storage: Storage,
        *,
        now: Callable[[], int] = lambda: NOW * 10**9,
        retention: str = "",
        max_pack_size: int = 20_000,
    ) -> ContentManager:
        chosen = repository_format(max_pack_size=max_pack_size)
        manager = ContentManager(
            storage,
            Format(chosen.unique_id, chosen.parameters, retention),
            username="default",
            hostname="default",
            now=lambda: datetime.datetime.fromtimestamp(now() / 1e9, datetime.UTC),
        )
        opened.append(manager)
        return manager

    yield open_one
    for manager in opened:
        manager.close()


Open = Callable[..., ContentManager]


def names(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(blob.blob_id for blob in storage.list(prefix))


def test_a_content_can_be_read_at_any_time(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    data = manager.write(b"hello\n")
    folder = manager.write(memoryview(b"hello\n"), "k")
    assert (data, folder) == ("8cad46c40c82e5eb8b6122d413e8a784", "k8cad46c40c82e5eb8b6122d413e8a784")
    assert manager.read(data) == manager.read(folder) == b"hello\n"
    manager.flush()
    assert manager.read(data) == manager.read(folder) == b"hello\n"
    again = open_manager(storage)
    assert again.read(data) == again.read(folder) == b"hello\n"
    assert (again.count(), again.list("k"), again.list("")) == (2, [folder], [data])


class _Gate(MemoryStorage):
    """Holds back the packs of some kinds."""

    def __init__(self, kinds: str = "pq") -> None:
        super().__init__()
        self._kinds = kinds
        self.reached, self.opened = threading.Event(), threading.Event()

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        if blob_id[0] in self._kinds:
            self.reached.set()
            assert self.opened.wait(10)
        super().put(blob_id, data)


def test_a_content_can_be_read_while_its_pack_is_uploaded(open_manager: Open) -> None:
    storage = _Gate()
    manager = open_manager(storage, max_pack_size=10)
    content_id = manager.write(b"data of a full pack")
    assert storage.reached.wait(10)
    try:
        assert manager.read(content_id) == b"data of a full pack"
    finally:
        storage.opened.set()
    manager.flush()
    assert manager.read(content_id) == b"data of a full pack"


def test_an_empty_content_is_stored_like_any_other(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    assert manager.write(b"") == EMPTY_CONTENT
    manager.flush()
    assert open_manager(storage).read(EMPTY_CONTENT) == b""
    assert open_manager(storage).find(EMPTY_CONTENT).packed_length == encryption.OVERHEAD


def test_entries_say_where_and_when(open_manager: Open) -> None:
    manager = open_manager(MemoryStorage(), max_pack_size=1 << 20)
    first, second = manager.find(manager.write(b"12345")), manager.find(manager.write(b"6"))
    assert (first.pack_offset, first.packed_length, first.original_length) == (32, 33, 5)
    assert (second.pack_offset, second.packed_length, second.original_length) == (65, 29, 1)
    assert first.pack_blob_id == second.pack_blob_id
    assert (first.timestamp, first.deleted, first.format_version, first.compression_id) == (NOW, False, 3, 0)


def test_what_the_repository_has_is_not_stored_again(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    manager.write(b"data")
    manager.write(b"data")
    manager.flush()
    before = names(storage)
    manager.write(b"data")
    manager.flush()
    again = open_manager(storage)
    again.write(b"data")
    again.flush()
    assert names(storage) == before
    assert manager.statistics.contents == 1
    assert again.statistics == content_manager.WriteStatistics()


def test_statistics_count_what_was_stored(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage, max_pack_size=100)
    for i in range(5):
        manager.write(bytes([i]) * 50)
    manager.write(b"x", "k")
    manager.flush()
    assert (manager.statistics.contents, manager.statistics.content_bytes) == (6, 251)
    assert manager.statistics.stored_bytes == sum(blob.length for blob in storage.list())


def test_file_data_and_metadata_go_to_packs_of_their_own(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    for prefix in ("", "k", "x", "m"):
        manager.write(b"data", prefix)
    manager.flush()
    session = r"-s[0-9a-f]{16}147"
    [data], [metadata], [index] = names(storage, "p"), names(storage, "q"), names(storage, "x")
    assert re.fullmatch(rf"p[0-9a-f]{{32}}{session}", data)
    assert re.fullmatch(rf"q[0-9a-f]{{32}}{session}", metadata)
    assert re.fullmatch(rf"xn0_[0-9a-f]{{32}}{session}-c1", index)
    assert names(storage) == sorted([data, metadata, index])


def test_a_pack_is_finished_when_it_is_full_and_lists_its_contents(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage, max_pack_size=1000)
    written = [manager.write(bytes([i]) * 300) for i in range(7)]
    manager.flush()
    found: list[Entry] = []
    for name in names(storage, "p"):
        blob = storage.get(name)
        iv, offset, size = read_postamble(blob)
        columns = index_v2.parse(manager._encryptor.open(blob[offset : offset + size], iv))
        entries = [columns.entry(row) for row in range(len(columns))]
        assert {entry.pack_blob_id for entry in entries} == {name}
        assert max(entry.pack_offset for entry in entries) < 1000
        found += entries
    assert len(names(storage, "p")) == 3
    assert sorted(found) == sorted(manager.find(content_id) for content_id in written)


def test_packs_come_before_their_index_and_the_marker_spans_them_all(open_manager: Open) -> None:
    storage = FaultyStorage(MemoryStorage())
    manager = open_manager(storage, max_pack_size=100)
    for i in range(4):
        manager.write(bytes([i]) * 100)
    manager.write(b"folder", "k")
    manager.flush()
    changes = [(method, name[0]) for method, name in storage.calls if method in ("put", "delete")]
    assert changes[0] == ("put", "s")
    assert sorted(changes[1:6]) == [("put", "p")] * 4 + [("put", "q")]
    assert changes[6:] == [("put", "x"), ("delete", "s")]
    marker = next(name for method, name in storage.calls if method == "put")
    assert ("delete", marker) in storage.calls
    assert names(storage, "s") == []


def test_each_flush_ends_its_session(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    for i in range(3):
        manager.write(bytes([i]))
        manager.flush()
    assert len({name.split("-")[1] for name in names(storage, "p")}) == 3


def test_a_flush_of_nothing_writes_nothing(open_manager: Open) -> None:
    storage = FaultyStorage(MemoryStorage())
    manager = open_manager(storage)
    manager.flush()
    assert [call for call in storage.calls if call[0] != "list"] == []


@pytest.mark.parametrize("cause", ["number", "time"])
def test_a_long_session_indexes_what_it_has_uploaded(
    open_manager: Open, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage, max_pack_size=100)
    if cause == "number":
        monkeypatch.setattr(content_manager, "_INDEX_ENTRIES", 3)
    for i in range(3):
        if cause == "time" and i == 2:
            manager._indexed_at -= 601
        content_id = manager.write(bytes([i]) * 100)
        futures.wait(manager._uploading, timeout=10)
    assert open_manager(storage).read(content_id) == bytes([2]) * 100
    assert len(names(storage, "x")) == 1
    assert len(names(storage, "s")) == 1  # the session goes on
    manager.write(b"more")
    manager.flush()
    assert open_manager(storage).count() == 4
    assert names(storage, "s") == []


def test_a_manifest_is_indexed_after_everything_else_is_durable(
    open_manager: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its pack may be stored before that of the data it names: then a crash would leave a snapshot without its data.
    monkeypatch.setattr(content_manager, "_INDEX_ENTRIES", 1)
    storage = _Gate("p")
    manager = open_manager(storage)
    manager.write(b"file")
    folder, manifest = manager.write(b"folder", "k"), manager.write(b"manifest", "m")
    with futures.ThreadPoolExecutor(1) as pool:
        flushing = pool.submit(manager.flush)
        deadline = time.monotonic() + 10
        while not names(storage, "x") and time.monotonic() < deadline:
            pass
        early = open_manager(storage)
        storage.opened.set()
        flushing.result(10)
    assert (early.list("k"), early.list("m")) == ([folder], [])
    assert open_manager(storage).list("m") == [manifest]


@pytest.mark.parametrize("tombstone", [NOW - 1, NOW, NOW + 1000])
def test_a_deleted_content_comes_back_under_a_later_time(open_manager: Open, tombstone: int) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage, now=lambda: (NOW - 2000) * 10**9)
    content_id = manager.write(b"data")
    manager.flush()
    manager._indexes.write(
        index_v2.build([manager.find(content_id)._replace(timestamp=tombstone, deleted=True)]), "s0147"
    )
    assert manager.list("") == []
    assert manager.read(content_id) == b"data"  # until maintenance drops it

    again = open_manager(storage)
    assert again.write(b"data") == content_id
    again.flush()
    entry = open_manager(storage).find(content_id)
    assert (entry.deleted, entry.timestamp) == (False, max(NOW, tombstone + 1))
    assert entry.pack_blob_id != manager.find(content_id).pack_blob_id
    assert open_manager(storage).list("") == [content_id]


def test_two_writers_do_not_disturb_each_other(open_manager: Open) -> None:
    storage = MemoryStorage()
    first, second = open_manager(storage, now=ticking(NOW)), open_manager(storage, now=ticking(NOW))
    shared = first.write(b"both")
    assert second.write(b"both") == shared
    mine, theirs = first.write(b"first"), second.write(b"second")
    first.flush()
    second.flush()
    third = open_manager(storage)
    assert [third.read(content_id) for content_id in (shared, mine, theirs)] == [b"both", b"first", b"second"]
    assert third.count() == 3
    with pytest.raises(errors.CorruptRepositoryError, match=f"the content {theirs} is in no index"):
        first.read(theirs)
    first.refresh()
    assert first.read(theirs) == b"second"


def test_many_threads_store_each_content_once(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage, max_pack_size=2000)
    data = [bytes([i]) * 100 for i in range(100)] * 4
    with futures.ThreadPoolExecutor(8) as pool:
        written = list(pool.map(manager.write, data))
    manager.flush()
    assert written[:100] * 4 == written
    again = open_manager(storage)
    assert again.count() == 100
    assert [again.read(content_id) for content_id in written] == data
    columns = [
        index_v2.parse(again._encryptor.open(storage.get(name), bytes.fromhex(name[4:36])))
        for name in names(storage, "x")
    ]
    assert sum(len(column) for column in columns) == 100


@pytest.mark.parametrize("prefix", ["p", "q", "s"])
def test_a_failed_upload_reaches_the_writer_and_commits_nothing(open_manager: Open, prefix: str) -> None:
    storage = FaultyStorage(MemoryStorage())
    storage.fail("put", UNAVAILABLE, prefix=prefix, times=100)
    manager = open_manager(storage)
    manager.write(b"file")
    manager.write(b"folder", "k")
    for _ in range(2):
        with pytest.raises(errors.StorageUnavailableError, match="does not answer"):
            manager.flush()
    with pytest.raises(errors.StorageUnavailableError, match="does not answer"):
        manager.write(b"more")
    assert names(storage, "x") == []


def test_an_upload_in_the_background_that_failed_stops_the_writer(open_manager: Open) -> None:
    storage = FaultyStorage(MemoryStorage())
    storage.fail("put", UNAVAILABLE, prefix="p", nth=2)
    manager = open_manager(storage, max_pack_size=10)

    def write_until(deadline: float) -> None:
        i = 0
        while time.monotonic() < deadline:
            manager.write(i.to_bytes(8, "big"))
            i += 1

    with pytest.raises(errors.StorageUnavailableError, match="does not answer"):
        write_until(time.monotonic() + 10)
    with pytest.raises(errors.StorageUnavailableError):
        manager.flush()
    assert names(storage, "x") == []


@pytest.mark.parametrize("after_the_call", [False, True])
def test_a_flush_whose_index_was_not_stored_can_be_repeated(open_manager: Open, after_the_call: bool) -> None:
    storage = FaultyStorage(MemoryStorage())
    storage.fail("put", UNAVAILABLE, prefix="x", after_the_call=after_the_call)
    manager = open_manager(storage)
    content_id = manager.write(b"data")
    with pytest.raises(errors.StorageUnavailableError):
        manager.flush()
    assert manager.read(content_id) == b"data"
    assert len(names(storage, "s")) == 1
    manager.flush()
    assert open_manager(storage).read(content_id) == b"data"
    assert (len(names(storage, "x")), names(storage, "s")) == (1, [])


def test_a_marker_that_was_not_deleted_is_deleted_by_the_next_flush(open_manager: Open) -> None:
    storage = FaultyStorage(MemoryStorage())
    storage.fail("delete", UNAVAILABLE, prefix="s")
    manager = open_manager(storage)
    manager.write(b"data")
    with pytest.raises(errors.StorageUnavailableError):
        manager.flush()
    manager.flush()
    assert names(storage, "s") == []
    assert open_manager(storage).count() == 1


def test_what_was_not_flushed_is_given_up(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    manager.write(b"data")
    manager.close()
    assert names(storage) == []


def test_a_repository_with_object_lock_is_read_only(open_manager: Open) -> None:
    storage = MemoryStorage()
    writer = open_manager(storage)
    content_id = writer.write(b"data")
    writer.flush()
    reader = open_manager(storage, retention="COMPLIANCE")
    assert reader.read(content_id) == b"data"
    assert reader.write(b"data") == content_id  # nothing to write
    with pytest.raises(errors.UnsupportedFormatError, match=r"object lock \(COMPLIANCE\)"):
        reader.write(b"new")


def committed(open_manager: Open, storage: Storage, data: bytes, prefix: str) -> str:
    manager = open_manager(storage)
    content_id = manager.write(data, prefix)
    manager.flush()
    return content_id


@pytest.mark.parametrize("prefix", ["", "k"])
def test_a_missing_pack_is_named(open_manager: Open, prefix: str) -> None:
    storage = MemoryStorage()
    content_id = committed(open_manager, storage, b"data", prefix)
    [pack] = names(storage, "q" if prefix else "p")
    storage.delete(pack)
    with pytest.raises(errors.BlobMissingError, match=pack):
        open_manager(storage).read(content_id)


@pytest.mark.parametrize("prefix", ["", "k"])
@pytest.mark.parametrize("at", [32, 44, 47, 63])
def test_a_flipped_byte_is_noticed_and_named(open_manager: Open, prefix: str, at: int) -> None:
    storage = MemoryStorage()
    content_id = committed(open_manager, storage, b"data", prefix)
    [pack] = names(storage, "q" if prefix else "p")
    damaged = bytearray(storage.get(pack))
    damaged[at] ^= 1
    storage.put(pack, damaged)
    with pytest.raises(errors.CorruptRepositoryError, match=f"the content {content_id} in pack {pack} is damaged"):
        open_manager(storage).read(content_id)


@pytest.mark.parametrize("prefix", ["", "k"])
@pytest.mark.parametrize("length", [0, 31, 33, 63])
def test_a_truncated_pack_is_noticed_and_named(open_manager: Open, prefix: str, length: int) -> None:
    storage = MemoryStorage()
    content_id = committed(open_manager, storage, b"data", prefix)
    [pack] = names(storage, "q" if prefix else "p")
    storage.put(pack, storage.get(pack)[:length])
    with pytest.raises(errors.CorruptRepositoryError, match=pack):
        open_manager(storage).read(content_id)


def add_entry(manager: ContentManager, entry: Entry) -> None:
    """Indexes a content as another client would."""
    manager._indexes.write(index_v2.build([entry]), "s0147")


def test_a_content_of_another_length_than_indexed_is_refused(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    content_id = committed(open_manager, storage, b"data", "")
    manager.refresh()
    add_entry(manager, manager.find(content_id)._replace(timestamp=NOW + 1, original_length=5))
    with pytest.raises(errors.CorruptRepositoryError, match="has 4 bytes where its index entry says 5"):
        manager.read(content_id)


def test_a_content_that_kopia_compressed_expands(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    key = b"k" + bytes(16)
    stream = (0x1101).to_bytes(4, "big") + zstandard.ZstdCompressor().compress(b"directory " * 100)
    sealed = manager._encryptor.seal(stream, key[1:])
    storage.put("q0-s0", bytes(7) + sealed)
    entry = Entry(key, NOW, "q0-s0", 7, len(sealed), 1000, compression_id=0x1101)
    add_entry(manager, entry)
    assert manager.read(ids.content_id_of_key(key)) == b"directory " * 100
    add_entry(manager, entry._replace(timestamp=NOW + 1, compression_id=0x1000))
    with pytest.raises(errors.CorruptRepositoryError, match="does not match the index"):
        manager.read(ids.content_id_of_key(key))


def test_packs_of_directories_are_fetched_whole_and_few_are_kept(open_manager: Open) -> None:
    storage = FaultyStorage(MemoryStorage())
    written: list[list[str]] = []
    for i in range(3):
        manager = open_manager(storage)
        written.append([manager.write(bytes([i, j]), "k") for j in range(5)])
        manager.flush()
    reader = open_manager(storage)
    storage.calls.clear()
    for contents in (*written, written[1], written[0]):
        for content_id in contents:
            reader.read(content_id)
    fetched = [name for method, name in storage.calls if method == "get"]
    packs = [reader.find(contents[0]).pack_blob_id for contents in written]
    assert fetched == [*packs, packs[0]]


def test_ranges_of_packs_are_read_as_asked(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    storage.put("p0-s0", b"0123456789")
    assert manager.read_range("p0-s0", 2, 3) == b"234"
    with pytest.raises(errors.CorruptRepositoryError):
        manager.read_range("p0-s0", 8, 3)


@pytest.mark.parametrize("content_id", ["", "zz", "../../etc/passwd"])
def test_what_is_no_content_id_is_refused(open_manager: Open, content_id: str) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="is not a content id"):
        open_manager(MemoryStorage()).read(content_id)


def test_a_pack_name_cannot_lead_out_of_the_store(open_manager: Open) -> None:
    storage = MemoryStorage()
    manager = open_manager(storage)
    add_entry(manager, Entry(bytes(17), NOW, "../../etc/passwd", 0, 100, 72))
    with pytest.raises(errors.CorruptRepositoryError, match="cannot be the name of a blob"):
        manager.read("00" * 16)
