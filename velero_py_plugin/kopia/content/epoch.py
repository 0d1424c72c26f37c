"""Which index blobs count: the epoch rules as pure functions over a listing.

Source: kopia v0.23.1 ``internal/epoch/epoch_manager.go``, ``epoch_utils.go``, ``internal/completeset``.

============================== ===================================================
blob                           meaning
============================== ===================================================
``xn<E>_<hash>-<session>-cN``  index written in epoch E
``xs<E>_<hash>-<set>-cN``      all of epoch E in one set of N blobs
``xr<A>_<B>_<hash>-<set>-cN``  all of epochs A to B
``xe<E>``                      epoch E has begun
``xw<seconds>``                entries deleted up to this time are gone
============================== ===================================================
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable

# As Go's strconv.Atoi within 64 bits: what kopia cannot read as a number must not become an epoch here either.
_LEADING = re.compile(r"[^0-9]*([0-9]{1,18})\Z")
_SECONDS = re.compile(r"xw([0-9]{1,18})\Z")


@dataclasses.dataclass(frozen=True)
class EpochState:
    """What a listing of the index blobs says.

    Attributes:
        write_epoch: The epoch that new index blobs belong to.
        deletion_watermark: Entries deleted up to this time, in seconds since 1970, count as absent.
        active: Names of the index blobs that together hold every content.
    """

    write_epoch: int
    deletion_watermark: int
    active: tuple[str, ...]


def read_state(blob_ids: Iterable[str]) -> EpochState:
    """Derives the state from the names of all blobs that start with ``x``; names of no known form are ignored."""
    uncompacted: dict[int, list[str]] = defaultdict(list)
    single: dict[int, list[str]] = defaultdict(list)
    ranges: dict[tuple[int, int], list[str]] = defaultdict(list)
    write_epoch = watermark = 0
    for blob_id in blob_ids:
        kind, number = blob_id[:2], _number(blob_id.split("_", 1)[0])
        if kind == "xr":
            bounds = _range(blob_id)
            if bounds is not None:
                ranges[bounds].append(blob_id)
        elif kind == "xw":
            seconds = _SECONDS.match(blob_id)
            watermark = max(watermark, int(seconds[1]) if seconds else 0)
        elif number is None:
            continue
        elif kind == "xn":
            uncompacted[number].append(blob_id)
        elif kind == "xs":
            single[number].append(blob_id)
        elif kind == "xe":
            write_epoch = max(write_epoch, number)

    active: list[str] = []
    start = 0
    complete_ranges = {bounds: blobs for bounds, found in ranges.items() if (blobs := _first_complete(found))}
    for bounds in _longest_chain(complete_ranges):
        active += complete_ranges[bounds]
        start = bounds[1] + 1
    for epoch in sorted(uncompacted.keys() | single.keys()):
        if start <= epoch <= write_epoch + 1:  # a faster writer may be one epoch ahead already
            settled = _first_complete(single.get(epoch, [])) if epoch <= write_epoch - 2 else []
            active += settled or uncompacted.get(epoch, [])
    return EpochState(write_epoch, watermark, tuple(sorted(active)))


def _number(text: str) -> int | None:
    match = _LEADING.match(text)
    return int(match[1]) if match else None


def _range(blob_id: str) -> tuple[int, int] | None:
    parts = blob_id.split("_")
    first = _number(parts[0])
    last = int(parts[1]) if len(parts) >= 3 and re.fullmatch("[0-9]{1,18}", parts[1]) else None
    return None if first is None or last is None or last < first else (first, last)


def _first_complete(blob_ids: list[str]) -> list[str]:
    """Finds the first set of which all members are listed; a name without set marks is a set of its own."""
    sets: dict[str, list[str]] = {}
    for blob_id in sorted(blob_ids):
        parts = blob_id.split("-")
        if len(parts) >= 3 and parts[1].startswith("s") and re.fullmatch("c[0-9]+", parts[2]):
            members = sets.setdefault(parts[1], [])
            members.append(blob_id)
            if len(members) == int(parts[2][1:]):
                return members
        else:
            return [blob_id]
    return []


def _longest_chain(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Chooses ranges that follow each other from epoch 0 and reach furthest, the fewest at equal reach."""
    by_start: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for bounds in ranges:
        by_start[bounds[0]].append(bounds)
    best: list[tuple[int, int]] = []
    reach = 0  # a chain that only reaches epoch 0 is never chosen
    chains: list[list[tuple[int, int]]] = [[bounds] for bounds in by_start[0]]
    seen: set[int] = set()
    while chains:  # breadth first: the first chain to reach an epoch has the fewest ranges
        following: list[list[tuple[int, int]]] = []
        for chain in chains:
            end = chain[-1][1]
            if end > reach:
                best, reach = chain, end
            if end not in seen:
                seen.add(end)
                following += [[*chain, bounds] for bounds in by_start[end + 1]]
        chains = following
    return best
