from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kopia.sample import EMPTY_CONTENT, open_in
from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.codec import splitter
from velero_py_plugin.kopia.object.object_manager import Part
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.testing.memory_storage import MemoryStorage

KIB = 1 << 10


@pytest.fixture
def repository() -> Iterator[Repository]:
    with open_in(MemoryStorage()) as opened:
        yield opened


@functools.cache
def random_bytes(count: int) -> bytes:
    return np.random.default_rng(count).bytes(count)


def write(repository: Repository, data: bytes, prefix: str = "") -> ids.ObjectID:
    """Stores data cut by the repository's splitter."""
    chunks = splitter.split(io.BytesIO(data).readinto, repository.objects.splitter)
    object_id, length = repository.objects.write(chunks, prefix)
    assert length == len(data)
    return object_id


def index_of(repository: Repository, object_id: ids.ObjectID) -> Any:
    """The index below an indirect object."""
    below = ids.ObjectID(object_id.content_id, object_id.indirection - 1)
    return json.loads(repository.objects.read(below))


def test_an_empty_object_is_one_empty_content(repository: Repository) -> None:
    object_id = write(repository, b"")
    assert str(object_id) == EMPTY_CONTENT
    assert repository.objects.read(object_id) == b""
    assert list(repository.objects.parts(object_id)) == [Part(0, 0, EMPTY_CONTENT)]
    assert repository.objects.write_bytes(b"") == object_id


def test_an_object_of_one_chunk_is_that_content(repository: Repository) -> None:
    object_id = write(repository, b"hello\n", "k")
    assert str(object_id) == "k8cad46c40c82e5eb8b6122d413e8a784"
    assert repository.objects.read(object_id) == b"hello\n"


def test_an_object_of_many_chunks_is_an_index(repository: Repository) -> None:
    data = random_bytes(700 * KIB)
    object_id = write(repository, data)
    assert str(object_id).startswith("Ix")
    assert repository.objects.read(object_id) == data
    index = index_of(repository, object_id)
    assert index["stream"] == "kopia:indirect"
    lengths = [len(chunk) for chunk in splitter.split(io.BytesIO(data).readinto, repository.objects.splitter)]
    assert [entry["l"] for entry in index["entries"]] == lengths
    assert [entry.get("s") for entry in index["entries"]] == [None, *np.cumsum(lengths[:-1]).tolist()]
    assert [entry["o"] for entry in index["entries"]] == [
        part.content_id for part in repository.objects.parts(object_id)
    ]


def test_the_index_is_written_as_kopia_writes_it(repository: Repository) -> None:
    object_id, _ = repository.objects.write([b"a", b"bc"])
    first, second = repository.contents.write(b"a"), repository.contents.write(b"bc")
    assert repository.contents.read(object_id.content_id) == (
        b'{"stream":"kopia:indirect","entries":[{"l":1,"o":"' + first.encode() + b'"},'
        b'{"s":1,"l":2,"o":"' + second.encode() + b'"}]}\n'
    )


def test_chunks_and_index_of_a_directory_share_its_prefix(repository: Repository) -> None:
    object_id = write(repository, random_bytes(700 * KIB), "k")
    assert str(object_id).startswith("Ik")
    assert all(part.content_id.startswith("k") for part in repository.objects.parts(object_id))


def test_a_long_index_has_an_index_of_its_own(repository: Repository) -> None:
    # 6,000 chunks of 10 bytes: an index of some 400 KiB, cut by the repository's splitter.
    chunks = [i.to_bytes(10, "big") for i in range(6000)]
    object_id, length = repository.objects.write(chunks)
    assert str(object_id).startswith("IIx")
    assert length == 60_000
    assert repository.objects.read(object_id) == b"".join(chunks)
    parts = list(repository.objects.parts(object_id))
    assert [part.start for part in parts] == list(range(0, 60_000, 10))


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 64 * KIB + 1, 256 * KIB, 300 * KIB])
def test_bytes_in_memory_are_cut_like_a_stream(repository: Repository, size: int) -> None:
    for data in (random_bytes(size), bytes(size)):
        assert repository.objects.write_bytes(data) == write(repository, data)


def test_chunks_are_stored_beside_each_other_in_the_order_given(repository: Repository) -> None:
    chunks = [bytes([i]) * (i + 1) for i in range(50)]
    with futures.ThreadPoolExecutor(4) as pool:
        beside, length = repository.objects.write(chunks, "", pool)
    assert (beside, length) == repository.objects.write(chunks)
    assert repository.objects.read(beside) == b"".join(chunks)


class _WhenAsked(futures.Executor):
    """Runs a call when its result is asked for, which is as late as a real pool may be."""

    def __init__(self) -> None:
        self.in_flight = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        pool = self
        pool.in_flight += 1

        class _Call(futures.Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                pool.in_flight -= 1
                return function(*args, **kwargs)

        return _Call()


def test_no_more_chunks_are_in_flight_than_memory_allows(repository: Repository) -> None:
    pool, seen = _WhenAsked(), []

    def chunks() -> Iterator[bytes]:
        for i in range(20):
            yield bytes([i])
            seen.append(pool.in_flight)

    object_id, _ = repository.objects.write(chunks(), "", pool)
    assert repository.objects.read(object_id) == bytes(range(20))
    assert max(seen) == 3  # beside the one that is being cut


@given(st.lists(st.binary(max_size=20), max_size=30))
def test_any_chunks_read_back(chunks: list[bytes]) -> None:
    with open_in(MemoryStorage()) as repository:
        object_id, length = repository.objects.write(chunks)
        assert length == len(b"".join(chunks))
        assert repository.objects.read(object_id) == b"".join(chunks)


# Indexes that other clients, or nobody in their right mind, would write.


def indirect(repository: Repository, entries: Any, stream: str = "kopia:indirect") -> ids.ObjectID:
    content_id = repository.contents.write(json.dumps({"stream": stream, "entries": entries}).encode(), "x")
    return ids.ObjectID(content_id, 1)


def test_parts_that_are_indirect_themselves_and_parts_of_no_length(repository: Repository) -> None:
    # kopia joins parts of large files this way.
    inner, _ = repository.objects.write([b"ab", b"cd"])
    empty, last = repository.contents.write(b""), repository.contents.write(b"ef")
    outer = indirect(
        repository,
        [{"l": 4, "o": str(inner)}, {"s": 4, "o": empty}, {"s": 4, "l": 2, "o": last}, {"s": 6, "o": empty}],
    )
    assert repository.objects.read(outer) == b"abcdef"
    assert [part.start for part in repository.objects.parts(outer)] == [0, 2, 4, 4, 6]


@pytest.mark.parametrize(
    ("starts", "message"),
    [([0, 3], "gap at byte 2"), ([0, 1], "gap at byte 2"), ([1, 3], "gap at byte 0"), ([0, -2], "gap at byte 2")],
)
def test_gaps_and_overlaps_are_refused(repository: Repository, starts: list[int], message: str) -> None:
    part = repository.contents.write(b"ab")
    object_id = indirect(repository, [{"s": start, "l": 2, "o": part} for start in starts])
    with pytest.raises(errors.CorruptRepositoryError, match=message):
        repository.objects.read(object_id)


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_part_of_another_length_than_indexed_is_refused(repository: Repository, length: int) -> None:
    object_id = indirect(repository, [{"l": length, "o": repository.contents.write(b"ab")}])
    with pytest.raises(errors.CorruptRepositoryError, match=f"2 bytes where its index says {length}"):
        repository.objects.read(object_id)


def test_a_missing_part_is_named(repository: Repository) -> None:
    object_id = indirect(repository, [{"l": 2, "o": "ab" * 16}])
    with pytest.raises(errors.CorruptRepositoryError, match=f"the content {'ab' * 16} is in no index"):
        repository.objects.read(object_id)


def test_objects_compressed_as_in_format_1_are_refused(repository: Repository) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match="format version 1"):
        repository.objects.read(ids.ObjectID.parse("Z" + EMPTY_CONTENT))


def test_endless_levels_are_refused(repository: Repository) -> None:
    part = repository.contents.write(b"ab")
    with pytest.raises(errors.CorruptRepositoryError, match="too many levels"):
        repository.objects.read(ids.ObjectID(part, 1000))


def test_levels_hidden_in_parts_are_counted_too(repository: Repository) -> None:
    object_id = ids.ObjectID(repository.contents.write(b"ab"))
    for _ in range(2000):
        object_id = indirect(repository, [{"l": 2, "o": str(object_id)}])
    with pytest.raises(errors.CorruptRepositoryError, match="too many levels"):
        repository.objects.read(object_id)


def test_as_many_levels_as_any_file_needs_are_read(repository: Repository) -> None:
    object_id = ids.ObjectID(repository.contents.write(b"ab"))
    for _ in range(6):
        object_id = indirect(repository, [{"l": 2, "o": str(object_id)}])
    assert repository.objects.read(object_id) == b"ab"


@pytest.mark.parametrize(
    "entries",
    [
        None,
        {},
        "x",
        [None],
        [1],
        [[]],
        [{}],
        [{"l": 2}],
        [{"l": 2, "o": 5}],
        [{"l": 2, "o": ""}],
        [{"l": 2, "o": "../x"}],
        [{"l": "2", "o": EMPTY_CONTENT}],
        [{"s": None, "o": EMPTY_CONTENT}],
        [{"s": 0.5, "o": EMPTY_CONTENT}],
        [{"l": -1, "o": EMPTY_CONTENT}],
    ],
)
def test_a_damaged_index_is_refused(repository: Repository, entries: Any) -> None:
    with pytest.raises(errors.CorruptRepositoryError):
        repository.objects.read(indirect(repository, entries))


@given(st.binary(max_size=60))
def test_an_index_of_garbage_raises_only_the_documented_error(raw: bytes) -> None:
    with open_in(MemoryStorage()) as repository:
        content_id = repository.contents.write(raw, "x")
        with pytest.raises(errors.CorruptRepositoryError):
            repository.objects.read(ids.ObjectID(content_id, 1))
