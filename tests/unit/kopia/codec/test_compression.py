from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import compression


def zstd_without_size(data: bytes) -> bytes:
    """As kopia's streaming encoder writes it: the frame does not say how long it expands."""
    encoder = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return encoder.compress(data) + encoder.flush()


def deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


STREAMS: list[tuple[int, Callable[[bytes], bytes]]] = [
    (0x1000, gzip.compress),
    (0x1002, gzip.compress),
    (0x1300, gzip.compress),
    (0x1100, zstandard.ZstdCompressor().compress),
    (0x1101, zstd_without_size),
    (0x1103, zstd_without_size),
    (0x1500, deflate),
    (0x1502, deflate),
]


@pytest.mark.parametrize(("header_id", "compress"), STREAMS)
@pytest.mark.parametrize("data", [b"", b"x", bytes(1 << 20), b"kopia" * 1000])
def test_streams_expand(header_id: int, compress: Callable[[bytes], bytes], data: bytes) -> None:
    stored = header_id.to_bytes(4, "big") + compress(data)
    assert compression.decompress(stored, header_id, len(data)) == data


@pytest.mark.parametrize(("header_id", "compress"), STREAMS)
@pytest.mark.parametrize("promised", [4, 6])
def test_a_stream_of_another_length_than_promised_is_refused(
    header_id: int, compress: Callable[[bytes], bytes], promised: int
) -> None:
    stored = header_id.to_bytes(4, "big") + compress(b"12345")
    with pytest.raises(errors.CorruptRepositoryError, match=f"{promised} bytes"):
        compression.decompress(stored, header_id, promised)


def test_a_bomb_expands_no_further_than_promised() -> None:
    bomb = (0x1101).to_bytes(4, "big") + zstd_without_size(bytes(64 << 20))
    with pytest.raises(errors.CorruptRepositoryError):
        compression.decompress(bomb, 0x1101, 10)


def test_header_and_index_must_agree() -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="0x1000 does not match the index"):
        compression.decompress(b"\0\0\x10\0" + gzip.compress(b"x"), 0x1100, 1)


@pytest.mark.parametrize("header_id", [0x1200, 0x1400, 0x9999])
def test_unknown_algorithms_are_refused_by_number(header_id: int) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match=hex(header_id)):
        compression.decompress(header_id.to_bytes(4, "big"), header_id, 1)


@given(st.sampled_from([0x1000, 0x1101, 0x1500]), st.binary(max_size=100), st.integers(0, 1000))
def test_garbage_raises_only_the_documented_errors(header_id: int, stream: bytes, length: int) -> None:
    try:
        data = compression.decompress(header_id.to_bytes(4, "big") + stream, header_id, length)
    except errors.CorruptRepositoryError:
        return
    assert len(data) == length


@pytest.mark.parametrize(("header_id", "compress"), STREAMS)
def test_a_truncated_stream_is_refused(header_id: int, compress: Callable[[bytes], bytes]) -> None:
    stored = header_id.to_bytes(4, "big") + compress(b"some data that is long enough to be cut")
    with pytest.raises(errors.CorruptRepositoryError):
        compression.decompress(stored[: len(stored) // 2], header_id, 39)
