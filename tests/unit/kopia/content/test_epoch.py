from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from velero_py_plugin.kopia.content import epoch

HASH = "ae251e5697f9a064ad1dbfb05c9fcb05"


def xn(number: int, session: str = "s1ae8acb647bf33e9147") -> str:
    return f"xn{number}_{HASH}-{session}-c1"


def xs(number: int, set_id: str = "s0011223344556677", count: int = 1, member: int = 0) -> str:
    return f"xs{number}_{member:032x}-{set_id}-c{count}"


def xr(first: int, last: int, set_id: str = "s0011223344556677", count: int = 1, member: int = 0) -> str:
    return f"xr{first}_{last}_{member:032x}-{set_id}-c{count}"


def active(*blob_ids: str) -> list[str]:
    return list(epoch.read_state(blob_ids).active)


def test_an_empty_repository_writes_to_epoch_0() -> None:
    assert epoch.read_state([]) == epoch.EpochState(0, 0, ())


def test_every_uncompacted_blob_counts_whatever_its_set_says() -> None:
    incomplete = xn(0).replace("-c1", "-c2")
    assert active(xn(0), incomplete) == sorted([xn(0), incomplete])


def test_the_highest_marker_is_the_write_epoch_and_the_next_one_is_read_too() -> None:
    state = epoch.read_state(["xe1", "xe3", "xe2", xn(2), xn(3), xn(4), xn(5)])
    assert state.write_epoch == 3
    assert state.active == (xn(2), xn(3), xn(4))


def test_a_settled_epoch_is_read_from_its_compaction() -> None:
    assert active("xe2", xn(0), xn(0, "s2"), xs(0), xn(1), xn(2)) == [xn(1), xn(2), xs(0)]


def test_an_epoch_that_may_still_grow_is_read_uncompacted() -> None:
    assert active("xe2", xn(1), xs(1)) == [xn(1)]


def test_an_incomplete_compaction_is_passed_over() -> None:
    first, second = xs(0, "s00", 2, 0), xs(0, "s00", 2, 1)
    assert active("xe5", xn(0), first) == [xn(0)]
    assert active("xe5", xn(0), first, second) == [first, second]
    other = xs(0, "s11", 1)
    assert active("xe5", xn(0), first, other) == [other]


def test_ranges_replace_what_they_cover() -> None:
    found = active("xe12", xr(0, 6), xn(3), xs(5), xs(7), xs(8), xr(7, 8), xn(9))
    assert found == sorted([xr(0, 6), xr(7, 8), xn(9)])


def test_the_chain_of_ranges_reaches_as_far_as_it_can_with_few_links() -> None:
    assert active("xe40", xr(0, 6), xr(7, 13), xr(0, 8), xr(9, 12)) == [xr(0, 6), xr(7, 13)]
    assert active("xe40", xr(0, 6), xr(7, 13), xr(0, 13)) == [xr(0, 13)]
    assert active("xe40", xr(1, 13), xn(1)) == [xn(1)]  # does not begin at 0
    assert active("xe40", xr(0, 0), xn(0)) == [xn(0)]  # a chain that only reaches 0 is never chosen


def test_an_incomplete_range_is_passed_over() -> None:
    assert active("xe12", xr(0, 6, count=2), xn(3)) == [xn(3)]
    assert active("xe12", xr(0, 6, count=2), xr(0, 6, count=2, member=1), xn(3)) == [
        *(xr(0, 6, count=2), xr(0, 6, count=2, member=1))
    ]


def test_the_latest_watermark_counts() -> None:
    assert epoch.read_state(["xw1700000000", "xw1800000000", "xw5"]).deletion_watermark == 1_800_000_000


@pytest.mark.parametrize(
    "name",
    [
        *("x", "xx", "xe", "xw", "xn", "xs", "xr", "xq5", "xn_0", "xea", "xe1a", "xw1_2", "xw1a", "xw-5", "xr1_2"),
        *("xr1_b_c", "xr5_3_c", "xr_1_2_", "xe99999999999999999999", "xw99999999999999999999", "xe²", "xe٣"),
    ],
)
def test_names_of_no_known_form_are_ignored(name: str) -> None:
    assert epoch.read_state([name]) == epoch.EpochState(0, 0, ())


def test_a_huge_epoch_costs_nothing() -> None:
    state = epoch.read_state(["xe999999999999999999", xn(3)])
    assert state == epoch.EpochState(999_999_999_999_999_999, 0, (xn(3),))


def reference(names: list[str]) -> tuple[int, int, set[tuple[str, ...]]]:
    """kopia's rules read aloud, slowly: write epoch, watermark and every active set that the rules allow.

    Several are allowed when chains of ranges reach equally far with equally many links.
    """

    def number(text: str) -> int | None:
        text = text.lstrip("".join(set(text) - set("0123456789")))
        return int(text) if re.fullmatch("[0-9]{1,18}", text) else None

    def complete(blobs: list[str]) -> list[str]:
        for end in range(1, len(blobs) + 1):
            parts = blobs[end - 1].split("-")
            if len(parts) < 3 or parts[1][:1] != "s" or not re.fullmatch("c[0-9]+", parts[2]):
                return [blobs[end - 1]]
            members = [
                blob
                for blob in blobs[:end]
                if len(other := blob.split("-")) > 2 and other[1] == parts[1] and re.fullmatch("c[0-9]+", other[2])
            ]
            if len(members) == int(parts[2][1:]):
                return members
        return []

    names = sorted(names)
    marks = [found for name in names if name[:2] == "xe" and (found := number(name.split("_")[0])) is not None]
    write_epoch = max(marks, default=0)
    watermark = max([int(name[2:]) for name in names if re.fullmatch("xw[0-9]{1,18}", name)], default=0)

    ranges: dict[tuple[int, int], list[str]] = {}
    for name in names:
        parts = name.split("_")
        if name[:2] == "xr" and len(parts) >= 3 and re.fullmatch("[0-9]{1,18}", parts[1]):
            low, high = number(parts[0]), int(parts[1])
            if low is not None and low <= high:
                ranges.setdefault((low, high), []).append(name)
    whole = {bounds: complete(blobs) for bounds, blobs in ranges.items() if complete(blobs)}
    chains: list[tuple[tuple[int, int], ...]] = [()]
    for links in range(1, len(whole) + 1):
        for chain in itertools.permutations(sorted(whole), links):
            follows = all(chain[i][1] + 1 == chain[i + 1][0] for i in range(links - 1))
            if chain[0][0] == 0 and follows and chain[-1][1] > 0:
                chains.append(chain)
    best = max((chain[-1][1] if chain else 0, -len(chain)) for chain in chains)

    allowed: set[tuple[str, ...]] = set()
    for chain in chains:
        if (chain[-1][1] if chain else 0, -len(chain)) != best:
            continue
        blobs = [blob for bounds in chain for blob in whole[bounds]]
        start = chain[-1][1] + 1 if chain else 0
        for at in sorted({n for name in names if (n := number(name.split("_")[0])) is not None}):
            if not start <= at <= write_epoch + 1:
                continue
            single = complete([blob for blob in names if blob[:2] == "xs" and number(blob.split("_")[0]) == at])
            if at <= write_epoch - 2 and single:
                blobs += single
            else:
                blobs += [blob for blob in names if blob[:2] == "xn" and number(blob.split("_")[0]) == at]
        allowed.add(tuple(sorted(blobs)))
    return write_epoch, watermark, allowed


SMALL = st.integers(0, 6)
SETS = st.sampled_from(["s00", "s11"])
NAMES = st.one_of(
    st.builds(xn, SMALL, st.sampled_from(["s1", "s2"])),
    st.builds(xs, SMALL, SETS, st.integers(0, 3), st.integers(0, 3)),
    st.builds(xr, SMALL, SMALL, SETS, st.integers(1, 2), st.integers(0, 2)),
    st.builds("xe{}".format, st.integers(0, 9)),
    st.builds("xw{}".format, st.integers(0, 20)),
    st.text("xnsrew_-c0123456789٣²", max_size=10).map("x".__add__),
    st.text(max_size=5).map("x".__add__),
)


@given(st.lists(NAMES, max_size=14, unique=True).filter(lambda names: sum(name[:2] == "xr" for name in names) < 6))
@example([xr(0, 1), xr(2, 4), xr(0, 2), xr(3, 4), "xe9", xn(5)])
@example([xn(5), "xe9", xr(3, 4), xr(0, 2), xr(2, 4), xr(0, 1)])
@settings(max_examples=300)
def test_any_listing_gives_what_the_rules_allow(names: list[str]) -> None:
    state = epoch.read_state(names)
    write_epoch, watermark, allowed = reference(names)
    assert (state.write_epoch, state.deletion_watermark) == (write_epoch, watermark)
    assert state.active in allowed
