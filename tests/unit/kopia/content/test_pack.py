"""Known answer: the end of a pack of kopia v0.23.1 ``repo/content/content_index_recovery.go``."""

from __future__ import annotations

import zlib

import pytest

from tests.unit.kopia.sample import DELETED_ENTRY, LIVE_ENTRY, PARAMETERS
from velero_py_plugin.kopia.codec import encryption, hashing
from velero_py_plugin.kopia.content import index_v2, pack

HASH_OF = hashing.hash_function(PARAMETERS.hash, PARAMETERS.secret)
ENCRYPTOR = encryption.Encryptor(PARAMETERS.encryption, PARAMETERS.master_key)


def uvarint(data: bytes) -> tuple[int, bytes]:
    value = shift = 0
    for i, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, data[i + 1 :]
    raise AssertionError("a number without an end")


def read_postamble(blob: bytes) -> tuple[bytes, int, int]:
    """Reads the end of a pack as kopia's index recovery does: iv, offset and length of the local index."""
    body = blob[-1 - blob[-1] : -1]
    assert zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "big")
    version, rest = uvarint(body[:-4])
    assert version == 1
    length, rest = uvarint(rest)
    iv, rest = rest[:length], rest[length:]
    offset, rest = uvarint(rest)
    size, rest = uvarint(rest)
    assert rest == b""
    return iv, offset, size


def test_the_known_postamble() -> None:
    postamble = pack.postamble(bytes(range(16)), 4096, 439)
    assert postamble.hex() == "0110000102030405060708090a0b0c0d0e0f8020b70396c3952e1a"


@pytest.mark.parametrize("contents", [0, 1, 4063, 4064, 4065, 100_000])
def test_a_finished_pack_carries_its_own_index(contents: int) -> None:
    pending = pack.PendingPack("p0-s0")
    assert len(pending.buffer) == 32
    preamble = bytes(pending.buffer)
    pending.buffer += bytes(contents)
    pending.entries += [LIVE_ENTRY, DELETED_ENTRY]
    pending.finish(HASH_OF, ENCRYPTOR)

    blob = bytes(pending.buffer)
    assert blob[:32] == preamble
    assert blob[32 : 32 + contents] == bytes(contents)
    iv, offset, size = read_postamble(blob)
    assert offset % 4096 == 0
    assert 0 < offset - (32 + contents) <= 4096
    plain = ENCRYPTOR.open(blob[offset : offset + size], iv)
    columns = index_v2.parse(plain)
    assert [columns.entry(row) for row in range(len(columns))] == [LIVE_ENTRY, DELETED_ENTRY]
    assert iv == HASH_OF(index_v2.build([LIVE_ENTRY, DELETED_ENTRY]))
    assert len(plain) == len(index_v2.build([LIVE_ENTRY, DELETED_ENTRY])) + 32


def test_equal_packs_look_different() -> None:
    first, second = pack.PendingPack("p0-s0"), pack.PendingPack("p0-s0")
    assert first.buffer != second.buffer
