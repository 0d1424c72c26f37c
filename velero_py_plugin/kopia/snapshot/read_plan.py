"""Plans the reading of many contents: which ranges of which packs, each read once.

Pure: takes index entries, returns ranges. Contents written together lie together, so a restore in tree order needs few
and long ranges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from velero_py_plugin.kopia.content.entry import Entry

MAX_RANGE: Final = 8 << 20  # bytes; a longer content is a range of its own
MAX_GAP: Final = 128 << 10  # bytes between two contents that are cheaper to read than to ask for again


@dataclasses.dataclass
class ReadRange:
    """Consecutive bytes of one pack and the contents in them.

    Attributes:
        pack_blob_id: The pack.
        offset: First byte.
        length: Bytes.
        entries: The contents, by offset.
    """

    pack_blob_id: str
    offset: int
    length: int
    entries: list[Entry]


def plan(entries: Iterable[Entry]) -> list[ReadRange]:
    """Groups contents into ranges, by pack and offset; a content given twice is read once."""
    ranges: list[ReadRange] = []
    for entry in sorted(set(entries), key=lambda entry: (entry.pack_blob_id, entry.pack_offset)):
        last = ranges[-1] if ranges else None
        end = entry.pack_offset + entry.packed_length
        if (
            last is not None
            and last.pack_blob_id == entry.pack_blob_id
            and entry.pack_offset - (last.offset + last.length) <= MAX_GAP
            and end - last.offset <= MAX_RANGE
        ):
            last.length = max(last.length, end - last.offset)
            last.entries.append(entry)
        else:
            ranges.append(ReadRange(entry.pack_blob_id, entry.pack_offset, entry.packed_length, [entry]))
    return ranges
