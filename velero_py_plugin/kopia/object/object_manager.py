"""Writes and reads objects.

Source: kopia v0.23.1 ``repo/object/object_writer.go``, ``object_reader.go``, ``indirect.go``. An object of one chunk is
that content. One of more chunks is an index, itself an object: ``{"stream":"kopia:indirect","entries":[...]}`` and a
newline, whose entries have ``s`` (start, absent for 0), ``l`` (length, absent for 0) and ``o`` (object id).
"""

from __future__ import annotations

import collections
import io
from collections.abc import Iterable, Iterator
from concurrent import futures
from typing import Final, NamedTuple

from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.codec import go_json, splitter
from velero_py_plugin.kopia.content import content_manager

_CHUNKS_IN_FLIGHT: Final = 4  # of at most 8 MiB with the default splitter
_MAX_INDIRECTION: Final = 8


class Part(NamedTuple):
    """A stretch of an object that is one content.

    Attributes:
        start: Offset in the object.
        length: Bytes.
        content_id: The content that holds exactly these bytes.
    """

    start: int
    length: int
    content_id: str


class ObjectManager:
    """The objects of one repository.

    Args:
        contents: Where they are kept.
        default_splitter: Cuts object indexes, and data where the caller has no wish.
    """

    def __init__(self, contents: content_manager.ContentManager, default_splitter: splitter.Splitter) -> None:
        self._contents = contents
        self.splitter = default_splitter

    def write(
        self, chunks: Iterable[bytes], prefix: str = "", pool: futures.Executor | None = None
    ) -> tuple[ids.ObjectID, int]:
        """Stores a stream.

        Args:
            chunks: The stream as the splitter cut it.
            prefix: Content prefix of the chunks.
            pool: Hashes and seals chunks beside each other when given; the calling thread goes on cutting.

        Returns:
            The object id and the length in bytes.
        """
        parts: list[tuple[int, str]] = []
        waiting: collections.deque[tuple[int, futures.Future[str]]] = collections.deque()
        for chunk in chunks:
            if pool is None:
                parts.append((len(chunk), self._contents.write(chunk, prefix)))
                continue
            waiting.append((len(chunk), pool.submit(self._contents.write, chunk, prefix)))
            if len(waiting) >= _CHUNKS_IN_FLIGHT:
                length, future = waiting.popleft()
                parts.append((length, future.result()))
        parts += [(length, future.result()) for length, future in waiting]
        if not parts:
            parts.append((0, self._contents.write(b"", prefix)))
        total = sum(length for length, _ in parts)
        if len(parts) == 1:
            return ids.ObjectID(parts[0][1]), total
        return self._write_index(parts, prefix), total

    def write_bytes(self, data: bytes, prefix: str = "") -> ids.ObjectID:
        """Stores a stream that is in memory, cut by the default splitter."""
        if len(data) <= self.splitter.max_chunk // 4:  # shorter than any chunk but the last
            return ids.ObjectID(self._contents.write(data, prefix))
        stream = io.BytesIO(data)
        return self.write(splitter.split(stream.readinto, self.splitter), prefix)[0]

    def parts(self, object_id: ids.ObjectID) -> Iterator[Part]:
        """Lists the contents of an object in order, without reading them.

        Raises:
            CorruptRepositoryError: A content is missing, or an index cannot be read or has gaps.
        """
        return self._parts(object_id, 0)

    def _parts(self, object_id: ids.ObjectID, depth: int) -> Iterator[Part]:
        if object_id.compressed:
            raise errors.UnsupportedFormatError(
                f"the object {object_id} is compressed as in format version 1, which is not supported"
            )
        # Entries of an index may be indexes again, so that the object id alone does not bound the levels.
        if depth + object_id.indirection > _MAX_INDIRECTION:
            raise errors.CorruptRepositoryError(f"the object {object_id} has too many levels of indexes")
        if object_id.indirection == 0:
            yield Part(0, self._contents.find(object_id.content_id).original_length, object_id.content_id)
            return
        index = ids.ObjectID(object_id.content_id, object_id.indirection - 1)
        expected = 0
        raw = b"".join(self._contents.read(part.content_id) for part in self._parts(index, depth + 1))
        for start, length, entry_id in _index_entries(raw, object_id):
            if start != expected:
                raise errors.CorruptRepositoryError(f"the index of object {object_id} has a gap at byte {expected}")
            got = 0
            for part in self._parts(entry_id, depth + 1):
                yield Part(start + part.start, part.length, part.content_id)
                got += part.length
            if got != length:
                raise errors.CorruptRepositoryError(
                    f"a part of object {object_id} has {got} bytes where its index says {length}"
                )
            expected += length

    def stream(self, object_id: ids.ObjectID) -> Iterator[bytes]:
        """Reads an object content by content."""
        for part in self.parts(object_id):
            yield self._contents.read(part.content_id)

    def read(self, object_id: ids.ObjectID) -> bytes:
        """Reads a whole object into memory."""
        return b"".join(self.stream(object_id))

    def _write_index(self, parts: list[tuple[int, str]], prefix: str) -> ids.ObjectID:
        entries: list[dict[str, int | str]] = []
        start = 0
        for length, content_id in parts:
            entry: dict[str, int | str] = {"s": start, "l": length, "o": content_id}
            entries.append({key: value for key, value in entry.items() if value})
            start += length
        index = go_json.dumps({"stream": "kopia:indirect", "entries": entries}) + b"\n"
        index_id = self.write_bytes(index, prefix or ids.CONTENT_PREFIX_INDIRECT)
        return ids.ObjectID(index_id.content_id, index_id.indirection + 1)


def _index_entries(raw: bytes, object_id: ids.ObjectID) -> Iterator[tuple[int, int, ids.ObjectID]]:
    document = go_json.loads(raw, f"the index of object {object_id}")
    entries = document.get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise errors.CorruptRepositoryError(f"the index of object {object_id} has no list of entries")
    for entry in entries:
        start, length, name = (
            (entry.get("s", 0), entry.get("l", 0), entry.get("o"))
            if isinstance(entry, dict)
            else (
                None,
                None,
                None,
            )
        )
        if not isinstance(start, int) or not isinstance(length, int) or not isinstance(name, str) or length < 0:
            raise errors.CorruptRepositoryError(f"the index of object {object_id} has an entry that cannot be read")
        yield start, length, ids.ObjectID.parse(name)
