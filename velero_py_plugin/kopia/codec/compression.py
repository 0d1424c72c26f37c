"""Decompression of contents.

Source: kopia v0.23.1 ``repo/compression``. A compressed content is a big-endian 32-bit header id followed by the
stream; the index records the same id. Velero compresses only metadata (``zstd-fastest``, since 1.16); this library
writes without compression, which every client reads.
"""

from __future__ import annotations

import zlib
from typing import Final

import zstandard

from velero_py_plugin.kopia import errors

HEADER_SIZE: Final = 4
_GZIP: Final = frozenset({0x1000, 0x1001, 0x1002, 0x1300, 0x1301, 0x1302})
_ZSTD: Final = frozenset({0x1100, 0x1101, 0x1102, 0x1103})
_DEFLATE: Final = frozenset({0x1500, 0x1501, 0x1502})


def decompress(data: bytes, header_id: int, original_length: int) -> bytes:
    """Expands a compressed content.

    Args:
        data: Header and stream.
        header_id: Compression id recorded in the index.
        original_length: Bytes the index promises; more are never produced.

    Raises:
        CorruptRepositoryError: Header, stream or length disagree.
        UnsupportedFormatError: The algorithm is not supported.
    """
    found = int.from_bytes(data[:HEADER_SIZE], "big")
    if len(data) < HEADER_SIZE or found != header_id:
        raise errors.CorruptRepositoryError(f"compression header {found:#x} does not match the index ({header_id:#x})")
    stream = data[HEADER_SIZE:]
    try:
        if header_id in _ZSTD:
            # kopia's frames may lack the content size, hence a streaming decoder; one byte more shows an overlong one.
            plain = zstandard.ZstdDecompressor().stream_reader(stream).read(original_length + 1)
        elif header_id in _GZIP:
            plain = zlib.decompressobj(31).decompress(stream, original_length + 1)
        elif header_id in _DEFLATE:
            plain = zlib.decompressobj(-15).decompress(stream, original_length + 1)
        else:
            raise errors.UnsupportedFormatError(f"compression algorithm {header_id:#x} is not supported")
    except (zstandard.ZstdError, zlib.error) as error:
        raise errors.CorruptRepositoryError(f"a compressed content does not expand: {error}") from error
    if len(plain) != original_length:
        raise errors.CorruptRepositoryError(
            f"a compressed content expands to another length than the {original_length} bytes its index entry says"
        )
    return plain
