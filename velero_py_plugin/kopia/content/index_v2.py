"""Pack index version 2: a sorted table from content to place in a pack.

Source: kopia v0.23.1 ``repo/content/index/index_v2.go``. All numbers are big-endian.

Header, 17 bytes:

====== ==== =====================================================
offset size field
====== ==== =====================================================
0      1    version, 2
1      1    key size: prefix byte and hash
2      2    entry size without the key, 16 to 19
4      4    number of entries
8      4    number of packs
12     1    number of formats
13     4    base timestamp, added to every entry's; writers put 0
====== ==== =====================================================

Entries follow, sorted by key, each the key and then:

====== ==== ===========================================================================
offset size field
====== ==== ===========================================================================
0      4    timestamp minus base
4      4    bit 31: deleted; bits 30..0: offset in the pack
8      3    original length, bits 23..0
11     3    packed length, bits 23..0
14     2    pack number, bits 15..0
16     1    format number; when the entry size is 17 or more
17     1    pack number, bits 23..16; when the entry size is 18 or more
18     1    high nibble original length, low nibble packed length, bits 27..24; when it is 19
====== ==== ===========================================================================

Then the pack table (per pack: 1 byte name length, 4 bytes absolute offset of the name), the format table (per format:
4 bytes compression id, 1 byte format version, 1 byte encryption key id), and the pack names. Bytes after that are
ignored: the index inside a pack has 32 random ones.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.content.entry import Entry

_HEADER: Final = struct.Struct(">BBHIIBI")
_PACK: Final = struct.Struct(">BI")
_FORMAT: Final = struct.Struct(">IBB")
_VERSION: Final = 2
_MAX_LENGTH: Final = 1 << 28
_DELETED: Final = 1 << 31

type_u32 = npt.NDArray[np.uint32]


@dataclasses.dataclass(frozen=True)
class Columns:
    """The entries of one or more indexes, a column per field, all of one length.

    Attributes:
        keys: One row of bytes per entry.
        timestamps: Seconds since 1970.
        offsets: First byte in the pack.
        packed_lengths: Sealed bytes.
        original_lengths: Plain bytes.
        deleted: Whether the entry marks a deletion.
        packs: Row of ``pack_names``.
        formats: Row of ``format_table``.
        pack_names: Names of packs.
        format_table: Pairs of compression id and format version.
    """

    keys: npt.NDArray[np.uint8]
    timestamps: type_u32
    offsets: type_u32
    packed_lengths: type_u32
    original_lengths: type_u32
    deleted: npt.NDArray[np.bool_]
    packs: type_u32
    formats: type_u32
    pack_names: list[str]
    format_table: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.timestamps)

    def entry(self, row: int) -> Entry:
        """Reads one row."""
        compression_id, format_version = self.format_table[self.formats[row]]
        return Entry(
            self.keys[row].tobytes(),
            int(self.timestamps[row]),
            self.pack_names[self.packs[row]],
            int(self.offsets[row]),
            int(self.packed_lengths[row]),
            int(self.original_lengths[row]),
            bool(self.deleted[row]),
            format_version,
            compression_id,
        )


def build(entries: Iterable[Entry]) -> bytes:
    """Writes an index: at least one entry, unique keys of one size, in any order.

    Equal sets of entries give equal bytes.
    """
    ordered = sorted(entries, key=lambda entry: entry.key)
    packs: dict[str, int] = {}
    formats: dict[tuple[int, int], int] = {}
    long_lengths = False
    for entry in ordered:
        packs.setdefault(entry.pack_blob_id, len(packs))
        formats.setdefault((entry.compression_id, entry.format_version), len(formats))
        if max(entry.original_length, entry.packed_length) >= _MAX_LENGTH:
            raise ValueError(f"a content of {entry.original_length} bytes is too long for an index")
        long_lengths = long_lengths or max(entry.original_length, entry.packed_length) >> 24 > 0
    size = 19 if long_lengths else 18 if len(packs) > 1 << 16 else 17 if len(formats) > 1 else 16
    key_size = len(ordered[0].key)
    out = bytearray(_HEADER.pack(_VERSION, key_size, size, len(ordered), len(packs), len(formats), 0))
    for entry in ordered:
        pack = packs[entry.pack_blob_id]
        original, packed = entry.original_length, entry.packed_length
        row = (
            struct.pack(">II", entry.timestamp, entry.pack_offset | (_DELETED if entry.deleted else 0))
            + (original & 0xFFFFFF).to_bytes(3, "big")
            + (packed & 0xFFFFFF).to_bytes(3, "big")
            + struct.pack(
                ">HBBB",
                pack & 0xFFFF,
                formats[entry.compression_id, entry.format_version],
                pack >> 16,
                (original >> 24) << 4 | packed >> 24,
            )
        )
        out += entry.key + row[:size]
    name_offset = len(out) + _PACK.size * len(packs) + _FORMAT.size * len(formats)
    for name in packs:
        out += _PACK.pack(len(name), name_offset)
        name_offset += len(name)
    for compression_id, version in formats:
        out += _FORMAT.pack(compression_id, version, 0)
    out += "".join(packs).encode()
    return bytes(out)


def parse(data: bytes) -> Columns:
    """Reads an index.

    Raises:
        CorruptRepositoryError: The bytes are not such an index.
    """
    if len(data) < _HEADER.size:
        raise errors.CorruptRepositoryError(f"a pack index of {len(data)} bytes is too short")
    version, key_size, size, count, pack_count, format_count, base = _HEADER.unpack_from(data)
    stride = key_size + size
    packs_at = _HEADER.size + count * stride
    formats_at = packs_at + pack_count * _PACK.size
    if version != _VERSION or size not in range(16, 20) or key_size < 2 or stride > 256:
        raise errors.CorruptRepositoryError(
            f"a pack index has version {version}, key size {key_size}, entry size {size}"
        )
    if formats_at + format_count * _FORMAT.size > len(data):
        raise errors.CorruptRepositoryError("a pack index is shorter than its header says")
    rows = np.frombuffer(data, np.uint8, count * stride, _HEADER.size).reshape(count, stride)
    fields = rows[:, key_size:].astype(np.uint32)
    offsets = _big_endian(fields, 4, 4)
    packs, original, packed = _big_endian(fields, 14, 2), _big_endian(fields, 8, 3), _big_endian(fields, 11, 3)
    formats = fields[:, 16].copy() if size > 16 else np.zeros(count, np.uint32)
    if size > 17:
        packs |= fields[:, 17] << np.uint32(16)
    if size > 18:
        original |= (fields[:, 18] >> np.uint32(4)) << np.uint32(24)
        packed |= (fields[:, 18] & np.uint32(15)) << np.uint32(24)
    if count and (packs.max() >= pack_count or formats.max() >= format_count):
        raise errors.CorruptRepositoryError("a pack index entry names a pack or format that its tables do not have")
    return Columns(
        keys=rows[:, :key_size].copy(),
        timestamps=_big_endian(fields, 0, 4) + np.uint32(base),
        offsets=offsets & np.uint32(_DELETED - 1),
        packed_lengths=packed,
        original_lengths=original,
        deleted=offsets >= np.uint32(_DELETED),
        packs=packs,
        formats=formats,
        pack_names=[_pack_name(data, packs_at + i * _PACK.size) for i in range(pack_count)],
        format_table=[_format(data, formats_at + i * _FORMAT.size) for i in range(format_count)],
    )


def _big_endian(fields: type_u32, at: int, size: int) -> type_u32:
    value = fields[:, at].copy()
    for i in range(at + 1, at + size):
        value = value << np.uint32(8) | fields[:, i]
    return value


def _pack_name(data: bytes, at: int) -> str:
    length, offset = _PACK.unpack_from(data, at)
    name = data[offset : offset + length]
    if len(name) != length or not name.isascii():
        raise errors.CorruptRepositoryError("a pack index has a pack name outside its bytes")
    return name.decode()


def _format(data: bytes, at: int) -> tuple[int, int]:
    compression_id, version, key_id = _FORMAT.unpack_from(data, at)
    if key_id:
        raise errors.UnsupportedFormatError(f"a pack index uses encryption key {key_id}; only key 0 is known")
    return compression_id, version
