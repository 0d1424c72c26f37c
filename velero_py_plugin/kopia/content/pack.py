"""The layout of a pack blob.

Source: kopia v0.23.1 ``repo/content/content_manager.go``, ``repo/content/content_index_recovery.go``; format versions 2
and 3.

==================== =====================================================================================
part                 bytes
==================== =====================================================================================
preamble             32 random
contents             sealed contents, one after the other
padding              random, up to the next multiple of 4096; 4096 when there already
local index          sealed (pack index, 32 random bytes); iv: the full hash of the pack index
postamble            uvarint 1, uvarint length of iv, iv, uvarint offset of the local index, uvarint its length,
                     big-endian CRC-32 of the postamble so far
last byte            length of the postamble
==================== =====================================================================================

The local index lets a lost index blob be rebuilt from its packs.
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from typing import Final

from velero_py_plugin.kopia.codec import encryption, hashing
from velero_py_plugin.kopia.content import index_v2
from velero_py_plugin.kopia.content.entry import Entry

_PREAMBLE_SIZE: Final = 32
_PADDING_UNIT: Final = 4096
_INDEX_SALT_SIZE: Final = 32


@dataclasses.dataclass
class PendingPack:
    """A pack that is being filled.

    Attributes:
        blob_id: Name it will have.
        buffer: Bytes so far.
        entries: Index entries of the contents in it.
    """

    blob_id: str
    buffer: bytearray = dataclasses.field(default_factory=lambda: bytearray(os.urandom(_PREAMBLE_SIZE)))
    entries: list[Entry] = dataclasses.field(default_factory=list)

    def finish(self, hash_of: hashing.HashFunction, encryptor: encryption.Encryptor) -> None:
        """Appends padding, local index and postamble; the buffer is then the whole blob."""
        self.buffer += os.urandom(_PADDING_UNIT - len(self.buffer) % _PADDING_UNIT)
        index = index_v2.build(self.entries)
        iv = hash_of(index)
        sealed = encryptor.seal(index + os.urandom(_INDEX_SALT_SIZE), iv)
        offset = len(self.buffer)
        self.buffer += sealed
        self.buffer += postamble(iv, offset, len(sealed))


def postamble(iv: bytes, index_offset: int, index_length: int) -> bytes:
    """Writes the end of a pack, its own length byte included."""
    body = _uvarint(1) + _uvarint(len(iv)) + iv + _uvarint(index_offset) + _uvarint(index_length)
    body += zlib.crc32(body).to_bytes(4, "big")
    return body + bytes([len(body)])


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
