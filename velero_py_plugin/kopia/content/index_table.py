"""All index blobs merged into one searchable table.

Memory is some 50 bytes a content, whatever the number of index blobs. Merge rule (kopia v0.23.1
``repo/content/index/merged.go``): the newest entry of a content wins; at equal times a live one beats a deleted one;
then the larger pack name wins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.content.index_v2 import Columns


class IndexTable:
    """Entries by content key, one per content.

    Args:
        parts: Parsed indexes.
        deletion_watermark: Deleted entries up to this time (seconds since 1970) count as absent.

    Raises:
        CorruptRepositoryError: The indexes have keys of different sizes.
    """

    def __init__(self, parts: Sequence[Columns], deletion_watermark: int = 0) -> None:
        parts = [part for part in parts if len(part)]
        if len({part.keys.shape[1] for part in parts}) > 1:
            raise errors.CorruptRepositoryError("the repository's indexes have content ids of different lengths")
        self._columns = _merge(parts, deletion_watermark) if parts else None
        self._ranges: dict[int, tuple[int, npt.NDArray[np.uint64]]] = {}
        if self._columns is not None:
            # Prefixes sort first, so that contents of one prefix are one range, searched by their first eight bytes.
            words = _words(self._columns.keys[:, 1:])[0]
            numbers, starts = np.unique(self._columns.keys[:, 0], return_index=True)
            for number, low, high in zip(numbers, starts, [*starts, len(words)][1:], strict=True):
                self._ranges[int(number)] = int(low), words[low:high]

    def __len__(self) -> int:
        return len(self._columns) if self._columns is not None else 0

    def find(self, key: bytes) -> Entry | None:
        """Looks a content up; deleted ones are found too."""
        columns = self._columns
        low, words = self._ranges.get(key[0], (0, None))
        if columns is None or words is None:
            return None
        word = np.uint64(int.from_bytes(key[1:9].ljust(8, b"\0"), "big"))
        row = int(words.searchsorted(word))
        while row < len(words) and words[row] == word:
            if columns.keys[low + row].tobytes() == key:
                return columns.entry(low + row)
            row += 1
        return None

    def with_prefix(self, prefix: str) -> list[Entry]:
        """Lists the contents of one prefix, deleted ones included; ``""`` lists file data."""
        columns = self._columns
        low, words = self._ranges.get(ord(prefix) if prefix else 0, (0, None))
        if columns is None or words is None:
            return []
        return [columns.entry(row) for row in range(low, low + len(words))]


def _words(keys: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint64]]:
    """Cuts keys into big-endian 64-bit words, so that comparing words is comparing bytes."""
    count, size = keys.shape
    padded = np.zeros((count, -(-size // 8) * 8), np.uint8)
    padded[:, :size] = keys
    words = padded.view(">u8").astype(np.uint64)
    return [words[:, i].copy() for i in range(words.shape[1])]


def _merge(parts: Sequence[Columns], deletion_watermark: int) -> Columns:
    names = sorted({name for part in parts for name in part.pack_names})
    rank = {name: i for i, name in enumerate(names)}  # sorted, so that the larger number is the larger name
    formats: dict[tuple[int, int], int] = {}
    for part in parts:
        for pair in part.format_table:
            formats.setdefault(pair, len(formats))
    packs = [np.array([rank[name] for name in part.pack_names], np.uint32)[part.packs] for part in parts]
    kinds = [np.array([formats[pair] for pair in part.format_table], np.uint32)[part.formats] for part in parts]
    merged = Columns(
        keys=np.concatenate([part.keys for part in parts]),
        timestamps=np.concatenate([part.timestamps for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
        packed_lengths=np.concatenate([part.packed_lengths for part in parts]),
        original_lengths=np.concatenate([part.original_lengths for part in parts]),
        deleted=np.concatenate([part.deleted for part in parts]),
        packs=np.concatenate(packs),
        formats=np.concatenate(kinds),
        pack_names=names,
        format_table=list(formats),
    )
    words = _words(merged.keys)
    order = np.lexsort((merged.packs, ~merged.deleted, merged.timestamps, *reversed(words)))
    keys = merged.keys[order]
    last_of_key = np.ones(len(order), np.bool_)
    last_of_key[:-1] = (keys[1:] != keys[:-1]).any(axis=1)
    hidden = merged.deleted[order] & (merged.timestamps[order] <= deletion_watermark)
    rows = order[last_of_key & ~hidden]
    return Columns(
        merged.keys[rows],
        merged.timestamps[rows],
        merged.offsets[rows],
        merged.packed_lengths[rows],
        merged.original_lengths[rows],
        merged.deleted[rows],
        merged.packs[rows],
        merged.formats[rows],
        names,
        merged.format_table,
    )
