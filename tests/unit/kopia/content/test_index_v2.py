"""Known answer: an index as kopia v0.23.1 ``repo/content/index/index_v2.go`` writes it, byte for byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kopia.sample import DELETED_ENTRY, LIVE_ENTRY
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.content import index_v2
from velero_py_plugin.kopia.content.entry import Entry

KNOWN = (
    bytes.fromhex(
        "0211001100000002000000020200000000"
        "008cad46c40c82e5eb8b6122d413e8a7846553f10000000020000006000022000000"
        "6b67d102b539e87f5bebb4503c87ebc9936553f1018000004d0003e800012c000101"
        "360000006b36000000a1"
        "000000000300000011010300"
    )
    + LIVE_ENTRY.pack_blob_id.encode()
    + DELETED_ENTRY.pack_blob_id.encode()
)


def rows(columns: index_v2.Columns) -> list[Entry]:
    return [columns.entry(row) for row in range(len(columns))]


def test_the_known_index_is_built() -> None:
    assert index_v2.build([DELETED_ENTRY, LIVE_ENTRY]) == KNOWN


def test_the_known_index_is_read() -> None:
    assert rows(index_v2.parse(KNOWN)) == [LIVE_ENTRY, DELETED_ENTRY]


def test_bytes_after_the_index_are_ignored() -> None:
    assert rows(index_v2.parse(KNOWN + bytes(32))) == [LIVE_ENTRY, DELETED_ENTRY]


def test_a_base_timestamp_is_added() -> None:
    based = KNOWN[:13] + struct.pack(">I", 1000) + KNOWN[17:]
    assert [entry.timestamp for entry in rows(index_v2.parse(based))] == [1_700_001_000, 1_700_001_001]


@st.composite
def entry_sets(draw: st.DrawFn, lengths: st.SearchStrategy[int]) -> list[Entry]:
    key_size = draw(st.sampled_from([2, 17, 29, 33]))
    keys = draw(st.sets(st.binary(min_size=key_size, max_size=key_size), min_size=1, max_size=12))
    packs = draw(st.lists(st.from_regex(r"\A[pq][0-9a-f-]{1,60}\Z"), min_size=1, max_size=4))
    formats = draw(
        st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255)), min_size=1, max_size=3, unique=True)
    )
    entries = []
    for key in draw(st.permutations(sorted(keys))):
        compression_id, version = draw(st.sampled_from(formats))
        entries.append(
            Entry(
                key,
                timestamp=draw(st.integers(0, 2**32 - 1)),
                pack_blob_id=draw(st.sampled_from(packs)),
                pack_offset=draw(st.integers(0, 2**31 - 1)),
                packed_length=draw(lengths),
                original_length=draw(lengths),
                deleted=draw(st.booleans()),
                format_version=version,
                compression_id=compression_id,
            )
        )
    return entries


SHORT = st.integers(0, 2**24 - 1)
LONG = st.integers(0, 2**28 - 1)


@given(entry_sets(SHORT) | entry_sets(LONG))
def test_any_entries_read_back_sorted(entries: list[Entry]) -> None:
    index = index_v2.build(entries)
    assert rows(index_v2.parse(index)) == sorted(entries)
    assert index == index_v2.build(reversed(entries))


@given(entry_sets(SHORT) | entry_sets(LONG))
def test_entries_are_as_small_as_they_can_be(entries: list[Entry]) -> None:
    size = int.from_bytes(index_v2.build(entries)[2:4], "big")
    if max(max(entry.original_length, entry.packed_length) for entry in entries) >= 1 << 24:
        assert size == 19
    else:
        several = len({(entry.compression_id, entry.format_version) for entry in entries}) > 1
        assert size == (17 if several else 16)


@pytest.mark.parametrize("long_content", [False, True])
def test_more_packs_than_16_bits_can_count(long_content: bool) -> None:
    entries = [
        Entry(b"\0" + i.to_bytes(16, "big"), 1, f"p{i:032x}-s0", 0, (1 << 27) if long_content and i == 5 else 1, 1)
        for i in range((1 << 16) + 1)
    ]
    index = index_v2.build(entries)
    assert index[3] == (19 if long_content else 18)
    columns = index_v2.parse(index)
    assert [columns.entry(row) for row in (0, 5, 65_535, 65_536)] == [entries[row] for row in (0, 5, 65_535, 65_536)]


def test_the_limits_of_lengths() -> None:
    longest = LIVE_ENTRY._replace(packed_length=(1 << 28) - 1, original_length=(1 << 28) - 1)
    assert rows(index_v2.parse(index_v2.build([longest]))) == [longest]
    with pytest.raises(ValueError, match="too long for an index"):
        index_v2.build([LIVE_ENTRY._replace(original_length=1 << 28)])


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, 1),  # another version
        (1, 0),  # no room for a key
        (1, 0xFF),  # longer entries than the format allows
        (3, 15),  # entry sizes
        (3, 20),
        (7, 200),  # more entries than there are bytes
        (11, 1),  # fewer packs than the entries name
        (12, 1),  # fewer formats
        (12, 200),  # a format table beyond the end
    ],
)
def test_a_damaged_header_is_refused(at: int, value: int) -> None:
    damaged = bytearray(KNOWN)
    damaged[at] = value
    with pytest.raises(errors.CorruptRepositoryError):
        index_v2.parse(bytes(damaged))


def test_a_pack_name_outside_the_index_is_refused() -> None:
    at = 17 + 2 * 34
    for name_entry in (struct.pack(">BI", 54, len(KNOWN) - 53), struct.pack(">BI", 1, 2**32 - 1)):
        with pytest.raises(errors.CorruptRepositoryError, match="pack name outside its bytes"):
            index_v2.parse(KNOWN[:at] + name_entry + KNOWN[at + 5 :])


def test_a_key_that_is_not_known_is_refused() -> None:
    at = KNOWN.index(bytes.fromhex("000000000300")) + 5
    with pytest.raises(errors.UnsupportedFormatError, match="encryption key 7"):
        index_v2.parse(KNOWN[:at] + b"\7" + KNOWN[at + 1 :])


def parse_all(data: bytes) -> None:
    """Reads an index down to the last entry."""
    try:
        rows(index_v2.parse(data))
    except (errors.CorruptRepositoryError, errors.UnsupportedFormatError):
        return


@pytest.mark.parametrize("length", range(len(KNOWN)))
def test_a_truncated_index_raises_only_documented_errors(length: int) -> None:
    with pytest.raises(errors.CorruptRepositoryError):
        index_v2.parse(KNOWN[:length])


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(KNOWN) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_index_raises_only_documented_errors(mutations: list[tuple[int, int]]) -> None:
    mutated = bytearray(KNOWN)
    for at, value in mutations:
        mutated[at] = value
    parse_all(bytes(mutated))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: KNOWN[:17] + tail))
def test_garbage_raises_only_documented_errors(data: bytes) -> None:
    parse_all(data)
