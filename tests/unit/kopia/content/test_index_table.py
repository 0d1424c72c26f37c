from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kopia.sample import DELETED_ENTRY, LIVE_ENTRY
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.content import index_v2
from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.content.index_table import IndexTable


def table(*indexes: list[Entry], watermark: int = 0) -> IndexTable:
    return IndexTable([index_v2.parse(index_v2.build(index)) for index in indexes], watermark)


def test_an_empty_table() -> None:
    empty = IndexTable([])
    assert len(empty) == 0
    assert empty.find(LIVE_ENTRY.key) is None
    assert empty.with_prefix("k") == []


def test_entries_are_found_by_key_and_by_prefix() -> None:
    found = table([LIVE_ENTRY], [DELETED_ENTRY])
    assert len(found) == 2
    assert found.find(LIVE_ENTRY.key) == LIVE_ENTRY
    assert found.find(DELETED_ENTRY.key) == DELETED_ENTRY
    assert found.with_prefix("") == [LIVE_ENTRY]
    assert found.with_prefix("k") == [DELETED_ENTRY]
    assert found.with_prefix("m") == []


@pytest.mark.parametrize("length", [1, 2, 9, 16, 18, 33])
def test_keys_of_another_length_are_not_found(length: int) -> None:
    assert table([LIVE_ENTRY]).find(LIVE_ENTRY.key.ljust(length, b"\0")[:length]) is None


def test_indexes_with_keys_of_different_lengths_are_refused() -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="different lengths"):
        table([LIVE_ENTRY], [LIVE_ENTRY._replace(key=b"\0" + bytes(32))])


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (LIVE_ENTRY._replace(timestamp=2, deleted=True), LIVE_ENTRY._replace(timestamp=1)),
        (LIVE_ENTRY._replace(deleted=False), LIVE_ENTRY._replace(deleted=True)),
        (LIVE_ENTRY._replace(pack_blob_id="q"), LIVE_ENTRY._replace(pack_blob_id="pz")),
        (LIVE_ENTRY._replace(deleted=False, pack_blob_id="p"), LIVE_ENTRY._replace(deleted=True, pack_blob_id="q")),
        (LIVE_ENTRY._replace(timestamp=2, pack_blob_id="p"), LIVE_ENTRY._replace(timestamp=1, pack_blob_id="q")),
    ],
)
def test_of_two_entries_for_one_content_one_wins_in_any_order(winner: Entry, loser: Entry) -> None:
    assert table([winner], [loser]).find(LIVE_ENTRY.key) == winner
    assert table([loser], [winner]).find(LIVE_ENTRY.key) == winner


@pytest.mark.parametrize(
    ("watermark", "hidden"),
    [(0, False), (DELETED_ENTRY.timestamp - 1, False), (DELETED_ENTRY.timestamp, True), (10**18, True)],
)
def test_deletions_up_to_the_watermark_are_as_if_never_stored(watermark: int, hidden: bool) -> None:
    found = table([LIVE_ENTRY, DELETED_ENTRY], watermark=watermark)
    assert (found.find(DELETED_ENTRY.key) is None) == hidden
    assert found.find(LIVE_ENTRY.key) == LIVE_ENTRY


def test_a_hidden_deletion_still_hides_what_it_deleted() -> None:
    older = DELETED_ENTRY._replace(timestamp=5, deleted=False)
    assert table([older], [DELETED_ENTRY], watermark=DELETED_ENTRY.timestamp).find(DELETED_ENTRY.key) is None


# Keys of few bytes that share their first words: equal, neighbouring and colliding ones all occur.
KEYS = st.builds(
    lambda prefix, head, tail: prefix + head * 8 + tail + bytes(7),
    st.sampled_from([b"\0", b"k", b"x"]),
    st.sampled_from([b"\0", b"\x7f", b"\xff"]),
    st.sampled_from([b"\0", b"\1"]),
)
ENTRIES = st.builds(
    Entry,
    KEYS,
    timestamp=st.integers(0, 4),
    pack_blob_id=st.sampled_from(["p1", "p2", "q1", "p10"]),
    pack_offset=st.integers(0, 3),
    packed_length=st.just(30),
    original_length=st.just(2),
    deleted=st.booleans(),
    format_version=st.sampled_from([2, 3]),
    compression_id=st.sampled_from([0, 0x1101]),
)
INDEXES = st.lists(ENTRIES, min_size=1, max_size=8, unique_by=lambda entry: entry.key)


@settings(max_examples=100)
@given(st.lists(INDEXES, max_size=5), st.integers(0, 5))
def test_the_table_is_what_a_dictionary_would_be(indexes: list[list[Entry]], watermark: int) -> None:
    model: dict[bytes, list[Entry]] = {}

    def rank(entry: Entry) -> tuple[int, bool, str]:
        return entry.timestamp, not entry.deleted, entry.pack_blob_id

    for index in indexes:
        for entry in index:
            best = model.setdefault(entry.key, [entry])
            if rank(entry) > rank(best[0]):
                model[entry.key] = [entry]
            elif rank(entry) == rank(best[0]):
                best.append(entry)  # the rule does not say which
    model = {key: best for key, best in model.items() if not (best[0].deleted and best[0].timestamp <= watermark)}

    found = table(*indexes, watermark=watermark)
    assert len(found) == len(model)
    for key, best in model.items():
        assert found.find(key) in best
    for index in indexes:
        for entry in index:
            assert (found.find(entry.key) is None) == (entry.key not in model)
    for prefix in ("", "k", "m", "x"):
        keys = [entry.key for entry in found.with_prefix(prefix)]
        assert keys == sorted(key for key in model if key[:1] == (prefix.encode() or b"\0"))
