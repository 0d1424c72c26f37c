"""The storage protocol: a flat set of named, immutable blobs.

Backends raise only the errors of ``kopia.errors``: ``BlobMissingError``, ``StorageError`` and
``StorageUnavailableError``. Every method may be called from any thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class BlobMetadata:
    """What a listing tells about one blob.

    Attributes:
        blob_id: Name of the blob.
        length: Bytes.
        timestamp: When the store last wrote it, seconds since 1970, by the store's own clock.
    """

    blob_id: str
    length: int
    timestamp: float


class Storage(Protocol):
    """A place that keeps blobs (kopia v0.23.1 ``repo/blob/storage.go``)."""

    @property
    def display_name(self) -> str:
        """The place in words, without secrets, for messages."""
        ...

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """Reads a blob or a range of it.

        Args:
            blob_id: Name of the blob.
            offset: First byte.
            length: Bytes to read; negative means up to the end.

        Returns:
            Exactly ``length`` bytes, or everything from ``offset`` on.

        Raises:
            BlobMissingError: There is no such blob.
            CorruptRepositoryError: The blob is shorter than the range asked for.
        """
        ...

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """Stores a blob durably and atomically, replacing one of the same name."""
        ...

    def delete(self, blob_id: str) -> None:
        """Removes a blob; a missing one is success."""
        ...

    def metadata(self, blob_id: str) -> BlobMetadata:
        """Looks up one blob.

        Raises:
            BlobMissingError: There is no such blob.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        """Lists the blobs whose names start with ``prefix``, in no particular order."""
        ...

    def close(self) -> None:
        """Releases connections; the storage cannot be used afterwards."""
        ...
