from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.snapshot import read_plan
from velero_py_plugin.kopia.snapshot.read_plan import MAX_GAP, MAX_RANGE, ReadRange


def entry(offset: int, length: int, pack: str = "p1") -> Entry:
    key = f"{pack}-{offset}-{length}".encode()
    return Entry(key, 1, pack, offset, length, length - 28)


def ranges(*entries: Entry) -> list[tuple[str, int, int]]:
    return [(found.pack_blob_id, found.offset, found.length) for found in read_plan.plan(entries)]


def test_nothing_is_planned_for_nothing() -> None:
    assert read_plan.plan([]) == []


def test_neighbours_are_read_together_in_the_order_of_the_pack() -> None:
    first, second = entry(32, 100), entry(132, 50)
    assert read_plan.plan([second, first]) == [ReadRange("p1", 32, 150, [first, second])]


def test_a_small_gap_is_read_and_a_large_one_is_not() -> None:
    assert ranges(entry(0, 10), entry(10 + MAX_GAP, 10)) == [("p1", 0, 20 + MAX_GAP)]
    assert ranges(entry(0, 10), entry(11 + MAX_GAP, 10)) == [("p1", 0, 10), ("p1", 11 + MAX_GAP, 10)]


def test_packs_are_never_mixed() -> None:
    assert ranges(entry(0, 10, "p2"), entry(0, 10, "p1")) == [("p1", 0, 10), ("p2", 0, 10)]


def test_ranges_end_where_memory_does() -> None:
    half = MAX_RANGE // 2
    assert ranges(entry(0, half), entry(half, half), entry(2 * half, 1)) == [("p1", 0, MAX_RANGE), ("p1", MAX_RANGE, 1)]


def test_a_content_longer_than_any_range_is_a_range_of_its_own() -> None:
    assert ranges(entry(0, 10), entry(10, MAX_RANGE + 1), entry(MAX_RANGE + 11, 10)) == [
        ("p1", 0, 10),
        ("p1", 10, MAX_RANGE + 1),
        ("p1", MAX_RANGE + 11, 10),
    ]


PIECES = st.tuples(
    st.sampled_from(["p1", "p2", "q1"]),
    st.integers(1, MAX_RANGE // 3) | st.integers(MAX_RANGE - 5, MAX_RANGE + 5) | st.integers(28, 100),
    st.integers(0, 3 * MAX_GAP) | st.just(0),
)


@given(st.lists(PIECES, max_size=40), st.randoms(use_true_random=False))
def test_every_content_is_read_exactly_once_in_bounded_ranges(
    pieces: list[tuple[str, int, int]], random: st.DrawFn
) -> None:
    ends: dict[str, int] = {}
    entries = []
    for pack, length, gap in pieces:
        offset = ends.get(pack, 0) + gap
        entries.append(entry(offset, length, pack))
        ends[pack] = offset + length
    wanted = entries + entries[: len(entries) // 2]
    random.shuffle(wanted)  # type: ignore[attr-defined] # hypothesis draws a random.Random

    planned = read_plan.plan(wanted)
    covered = [found for group in planned for found in group.entries]
    assert sorted(covered) == sorted(entries)
    for group in planned:
        assert group.length <= MAX_RANGE or len(group.entries) == 1
        assert group.offset == group.entries[0].pack_offset
        assert group.offset + group.length == group.entries[-1].pack_offset + group.entries[-1].packed_length
        assert {found.pack_blob_id for found in group.entries} == {group.pack_blob_id}
        unused = group.length - sum(found.packed_length for found in group.entries)
        assert unused <= MAX_GAP * (len(group.entries) - 1)
    for before, after in itertools.pairwise(planned):
        if before.pack_blob_id == after.pack_blob_id:
            assert before.offset + before.length <= after.offset  # no byte is asked for twice


def test_contents_that_overlap_are_all_there() -> None:
    # No client writes them, but nothing forbids an index to name them.
    inner, outer = entry(10, 5), entry(0, 100)
    [group] = read_plan.plan([inner, outer])
    assert (group.offset, group.length, sorted(group.entries)) == (0, 100, sorted([inner, outer]))
