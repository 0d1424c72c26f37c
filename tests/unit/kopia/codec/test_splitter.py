"""Known answers: chunk lengths cross-checked with kopia v0.23.1 ``repo/splitter`` by running it."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import splitter

MIB = 1 << 20


@functools.cache
def known_stream() -> bytes:
    """32 MiB: SHA-256 of 0, 1, 2, … as eight big-endian bytes."""
    return b"".join(hashlib.sha256(i.to_bytes(8, "big")).digest() for i in range(MIB))


def lengths(data: bytes, how: splitter.Splitter) -> list[int]:
    return [len(chunk) for chunk in splitter.split(io.BytesIO(data).readinto, how)]


def test_the_hash_of_a_known_window() -> None:
    window = np.arange(64, dtype=np.uint8)
    assert [f"{value:08x}" for value in splitter.window_hashes(window)] == ["d9b0c9cf"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DYNAMIC-4M-BUZHASH", [7423781, 5669076, 4286232, 2887177, 8388608, 3750025, 1149533]),
        ("DYNAMIC", [7423781, 5669076, 4286232, 2887177, 8388608, 3750025, 1149533]),
        (
            "DYNAMIC-2M-BUZHASH",
            [
                *(4194304, 3229477, 2220019, 2426813, 4194304, 1114172, 2887177),
                *(2711225, 4194304, 2414232, 2818872, 1149533),
            ],
        ),
        ("FIXED-8M", [8 * MIB] * 4),
    ],
)
def test_all_chunks_of_the_known_stream(name: str, expected: list[int]) -> None:
    assert lengths(known_stream(), splitter.splitter(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DYNAMIC-1M-BUZHASH", [1501899, 1214566, 1265650, 829084, 2097152, 1053413]),
        ("DYNAMIC-128K-BUZHASH", [93743, 149206, 262144, 107458, 262144, 144536]),
    ],
)
def test_the_first_chunks_of_the_known_stream(name: str, expected: list[int]) -> None:
    assert lengths(known_stream()[: 12 * MIB], splitter.splitter(name))[:6] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DYNAMIC-4M-BUZHASH", [2 * MIB] * 4 + [MIB + 5]),
        ("DYNAMIC-1M-BUZHASH", [MIB // 2] * 18 + [5]),
        ("FIXED-4M", [4 * MIB] * 2 + [MIB + 5]),
        ("FIXED", [4 * MIB] * 2 + [MIB + 5]),
        ("", [4 * MIB] * 2 + [MIB + 5]),  # a format block without a splitter
    ],
)
def test_zeros(name: str, expected: list[int]) -> None:
    assert lengths(bytes(9 * MIB + 5), splitter.splitter(name)) == expected


@pytest.mark.parametrize("size", ["128K", "256K", "512K", "1M", "2M", "4M", "8M"])
def test_every_size_kopia_offers(size: str) -> None:
    average = int(size[:-1]) << (10 if size.endswith("K") else 20)
    assert splitter.splitter(f"DYNAMIC-{size}-BUZHASH").max_chunk == 2 * average
    assert splitter.splitter(f"FIXED-{size}").max_chunk == average


@pytest.mark.parametrize(
    "name", ["DYNAMIC-4M-RABINKARP", "DYNAMIC-3M-BUZHASH", "FIXED-4M-BUZHASH", "DYNAMIC-4M", "dynamic", "4M"]
)
def test_an_unknown_splitter_is_refused_by_name(name: str) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match=repr(name)):
        splitter.splitter(name)


def scalar_lengths(data: bytes, average: int) -> list[int]:
    """The definition: a rolling hash over the whole stream, byte by byte, tested from half the average on."""
    table = [int(value) for value in splitter._TABLE]
    found: list[int] = []
    window = bytearray(64)
    value = length = 0  # the window begins as 64 zero bytes, whose hash is 0
    for i, byte in enumerate(data):
        leaving = window[i % 64]
        window[i % 64] = byte
        value = ((value << 1 | value >> 31) & 0xFFFFFFFF) ^ table[leaving] ^ table[byte]
        length += 1
        if (length >= average // 2 and value & (average - 1) == 0) or length == 2 * average:
            found.append(length)
            length = 0
    return [*found, length] if length else found


PATTERNED = st.builds(
    lambda pieces: b"".join(itertools.chain.from_iterable(pieces)),
    st.lists(
        st.one_of(
            st.binary(max_size=300).map(lambda piece: [piece]),
            st.tuples(st.binary(min_size=1, max_size=80), st.integers(0, 60)).map(lambda drawn: [drawn[0]] * drawn[1]),
            st.integers(0, 2000).map(lambda count: [bytes(count)]),
            st.tuples(st.integers(0, 2**32), st.integers(0, 3000)).map(
                lambda drawn: [np.random.default_rng(drawn[0]).bytes(drawn[1])]
            ),
        ),
        max_size=8,
    ),
)


@given(PATTERNED, st.sampled_from([128, 256, 1024]))
def test_the_vector_splitter_equals_the_scalar_definition(data: bytes, average: int) -> None:
    assert lengths(data, splitter.BuzhashSplitter(average)) == scalar_lengths(data, average)


def test_the_vector_splitter_equals_the_scalar_definition_across_its_blocks() -> None:
    # Longer than the 64 KiB that are hashed at once, with boundaries anywhere in them.
    data = np.random.default_rng(7).bytes(700_000) + bytes(100_000)
    assert lengths(data, splitter.BuzhashSplitter(1 << 17)) == scalar_lengths(data, 1 << 17)


def reader_in_pieces(data: bytes, sizes: list[int]) -> Callable[[memoryview], int]:
    """Answers reads with as many bytes as drawn, as pipes and network file systems do."""
    left = itertools.cycle(sizes)
    stream = io.BytesIO(data)

    def read_into(buffer: memoryview) -> int:
        return stream.readinto(buffer[: next(left)])

    return read_into


@given(PATTERNED, st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_chunks_do_not_depend_on_how_the_stream_is_read(data: bytes, sizes: list[int]) -> None:
    how = splitter.BuzhashSplitter(256)
    chunks = list(splitter.split(reader_in_pieces(data, sizes), how))
    assert b"".join(chunks) == data
    assert [len(chunk) for chunk in chunks] == lengths(data, how)


@given(PATTERNED, st.integers(1, 900))
def test_fixed_chunks(data: bytes, size: int) -> None:
    chunks = list(splitter.split(io.BytesIO(data).readinto, splitter.FixedSplitter(size)))
    assert b"".join(chunks) == data
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert not chunks or 0 < len(chunks[-1]) <= size


def test_an_insertion_moves_few_boundaries() -> None:
    # What content-defined chunking is for.
    data = np.random.default_rng(3).bytes(200_000)
    how = splitter.BuzhashSplitter(1024)

    def chunks(stream: bytes) -> set[bytes]:
        return set(splitter.split(io.BytesIO(stream).readinto, how))

    before, after = chunks(data), chunks(data[:100_000] + b"inserted" + data[100_000:])
    assert len(after - before) <= 3
