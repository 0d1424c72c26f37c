"""A store in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import blob_id as blob_ids
from velero_py_plugin.kopia.blob import storage


class MemoryStorage:
    """Keeps blobs in this process, for tests.

    Args:
        clock: Tells the store's time in seconds since 1970; it stamps every blob that is put.

    Attributes:
        clock: The same, settable at any time.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._blobs: dict[str, tuple[bytes, float]] = {}

    @property
    def display_name(self) -> str:
        """The store in words."""
        return "memory"

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """Reads a blob or a range of it; see ``Storage.get``."""
        data, _ = self._lookup(blob_id)
        end = len(data) if length < 0 else offset + length
        if end > len(data) or offset > len(data):
            raise errors.CorruptRepositoryError(
                f"Blob {blob_id} in memory has {len(data)} bytes, but it must have at least {max(end, offset)}."
            )
        return data[offset:end]

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """Stores a blob, replacing one of the same name."""
        blob_ids.check_blob_id(blob_id)
        copy = bytes(data)
        with self._lock:
            self._blobs[blob_id] = (copy, self.clock())

    def delete(self, blob_id: str) -> None:
        """Removes a blob; a missing one is success."""
        blob_ids.check_blob_id(blob_id)
        with self._lock:
            self._blobs.pop(blob_id, None)

    def metadata(self, blob_id: str) -> storage.BlobMetadata:
        """Looks up one blob; see ``Storage.metadata``."""
        data, timestamp = self._lookup(blob_id)
        return storage.BlobMetadata(blob_id, len(data), timestamp)

    def list(self, prefix: str = "") -> Iterator[storage.BlobMetadata]:
        """Lists the blobs whose names start with ``prefix``."""
        with self._lock:
            found = [
                storage.BlobMetadata(blob_id, len(data), timestamp)
                for blob_id, (data, timestamp) in self._blobs.items()
                if blob_id.startswith(prefix)
            ]
        return iter(found)

    def close(self) -> None:
        """Does nothing."""

    def set_timestamp(self, blob_id: str, timestamp: float) -> None:
        """Changes when a blob was last written, in seconds since 1970."""
        data, _ = self._lookup(blob_id)
        with self._lock:
            self._blobs[blob_id] = (data, timestamp)

    def _lookup(self, blob_id: str) -> tuple[bytes, float]:
        blob_ids.check_blob_id(blob_id)
        with self._lock:
            found = self._blobs.get(blob_id)
        if found is None:
            raise errors.BlobMissingError(f"Blob {blob_id} does not exist in memory.")
        return found
