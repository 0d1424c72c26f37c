"""Loads the committed index from its blobs and adds new index blobs to the current epoch.

Source: kopia v0.23.1 ``internal/epoch/epoch_manager.go`` (``WriteIndex``, ``GetCompleteIndexSet``). This client never
advances epochs, compacts or deletes index blobs of others: that is the maintenance owner's work.
"""

from __future__ import annotations

import threading
import time
from concurrent import futures
from typing import Final

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import storage as blob_storage
from velero_py_plugin.kopia.codec import encryption, hashing
from velero_py_plugin.kopia.content import epoch, index_v2
from velero_py_plugin.kopia.content.index_table import IndexTable

_IV_DIGITS: Final = 2 * encryption.IV_SIZE
_LOAD_ATTEMPTS: Final = 10
_WRITE_ATTEMPTS: Final = 3
_LOAD_THREADS: Final = 8
# kopia trusts a listing for 20 minutes and wants three quarters of that left when an index is written.
_FRESH_ENOUGH_TO_WRITE: Final = 300.0


def blob_iv(blob_id: str) -> bytes:
    """The iv of a blob that is sealed under its own name: the last 16 bytes of the hash in the name.

    Raises:
        CorruptRepositoryError: The name has no hash.
    """
    try:
        return bytes.fromhex(blob_id.split("-", 1)[0][-_IV_DIGITS:])
    except ValueError as error:
        raise errors.CorruptRepositoryError(f"the blob name {blob_id!r} has no hash in it") from error


class IndexBlobs:
    """The committed index of one repository; safe to use from many threads.

    Args:
        storage: Where the blobs are.
        hash_of: The repository's hash.
        encryptor: The repository's encryption.
    """

    def __init__(
        self, storage: blob_storage.Storage, hash_of: hashing.HashFunction, encryptor: encryption.Encryptor
    ) -> None:
        self._storage = storage
        self._hash_of = hash_of
        self._encryptor = encryptor
        self._parsed: dict[str, index_v2.Columns] = {}
        self._lock = threading.Lock()
        self._state = epoch.EpochState(0, 0, ())
        self._listed_at = -_FRESH_ENOUGH_TO_WRITE
        self._table = IndexTable([])

    @property
    def table(self) -> IndexTable:
        """The merged index as of the last ``refresh`` or ``write``."""
        return self._table

    def refresh(self) -> None:
        """Lists the index blobs and loads those that are new.

        Raises:
            CorruptRepositoryError: An index blob cannot be opened or read.
            StorageUnavailableError: Index blobs kept vanishing while they were read.
        """
        with self._lock:
            self._refresh()

    def write(self, index: bytes, session_id: str) -> None:
        """Stores an index blob and adds it to the table.

        Args:
            index: A pack index as ``index_v2.build`` makes it; every pack it names is durable already.
            session_id: The writing session.

        Raises:
            StorageUnavailableError: Epochs kept moving on while the blob was written.
        """
        digest = self._hash_of(index).hex()
        with self._lock:
            for _ in range(_WRITE_ATTEMPTS):
                if time.monotonic() - self._listed_at > _FRESH_ENOUGH_TO_WRITE:
                    self._refresh()
                written_in = self._state.write_epoch
                blob_id = f"xn{written_in}_{digest}-{session_id}-c1"
                self._storage.put(blob_id, self._encryptor.seal(index, blob_iv(blob_id)))
                self._parsed[blob_id] = index_v2.parse(index)
                self._refresh()
                if self._state.write_epoch < written_in + 2:
                    return
                # The epoch may have been compacted without this blob; nobody may rely on it there.
                self._storage.delete(blob_id)
        raise errors.StorageUnavailableError(
            "the repository's epochs moved on three times while an index was written; is a clock wrong?"
        )

    def _refresh(self) -> None:
        for attempt in range(_LOAD_ATTEMPTS):
            listed_at = time.monotonic()
            state = epoch.read_state(blob.blob_id for blob in self._storage.list("x"))
            try:
                self._load(state.active)
            except errors.BlobMissingError:
                # Maintenance replaced a blob between listing and reading: list again.
                time.sleep(0.1 * 2**attempt)
                continue
            if state != self._state:
                self._table = IndexTable([self._parsed[name] for name in state.active], state.deletion_watermark)
            self._state, self._listed_at = state, listed_at
            return
        raise errors.StorageUnavailableError("index blobs keep vanishing while they are read; is maintenance looping?")

    def _load(self, names: tuple[str, ...]) -> None:
        missing = [name for name in names if name not in self._parsed]
        with futures.ThreadPoolExecutor(_LOAD_THREADS, "index-load") as pool:
            for name, columns in zip(missing, pool.map(self._read, missing), strict=True):
                self._parsed[name] = columns
        for name in self._parsed.keys() - set(names):
            del self._parsed[name]

    def _read(self, blob_id: str) -> index_v2.Columns:
        sealed = self._storage.get(blob_id)
        try:
            return index_v2.parse(self._encryptor.open(sealed, blob_iv(blob_id)))
        except errors.CorruptRepositoryError as error:
            raise errors.CorruptRepositoryError(f"the index blob {blob_id} is damaged: {error}") from error
