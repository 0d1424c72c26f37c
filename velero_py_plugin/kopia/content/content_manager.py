"""Reads and writes contents.

Source: kopia v0.23.1 ``repo/content/content_manager.go``. Write order is what makes a killed process harmless: packs
first, then the index that names them, then the end of the session; nothing is named before it is durable.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Final

from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.blob import storage as blob_storage
from velero_py_plugin.kopia.codec import compression, encryption, hashing
from velero_py_plugin.kopia.content import index_blobs, index_v2, pack, session
from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.format import format_blob

_UPLOADS_IN_FLIGHT: Final = 2  # packs of some 20 MiB held in memory beside the two being filled
_INDEX_INTERVAL: Final = 600.0  # seconds after which uploaded packs are indexed although the session goes on
_INDEX_ENTRIES: Final = 100_000  # the same by number, which bounds memory
_CACHED_METADATA_PACKS: Final = 2
_MANIFEST: Final = ord(ids.CONTENT_PREFIX_MANIFEST)


@dataclasses.dataclass
class WriteStatistics:
    """What was added to the repository since it was opened.

    Attributes:
        contents: Contents that were new.
        content_bytes: Their plain bytes.
        stored_bytes: Bytes of all blobs written.
    """

    contents: int = 0
    content_bytes: int = 0
    stored_bytes: int = 0


class ContentManager:
    """The contents of one repository; ``read`` and ``write`` may be called from many threads.

    Args:
        storage: Where the blobs are.
        repository_format: The opened format blob.
        username: Written into session markers.
        hostname: Written into session markers.
        now: The clock.
    """

    def __init__(
        self,
        storage: blob_storage.Storage,
        repository_format: format_blob.Format,
        *,
        username: str,
        hostname: str,
        now: Callable[[], datetime.datetime],
    ) -> None:
        parameters = repository_format.parameters
        self._storage = storage
        self._format = repository_format
        self._username, self._hostname, self._now = username, hostname, now
        self._hash_of = hashing.hash_function(parameters.hash, parameters.secret)
        self._encryptor = encryption.Encryptor(parameters.encryption, parameters.master_key)
        self._indexes = index_blobs.IndexBlobs(storage, self._hash_of, self._encryptor)
        self._indexes.refresh()

        self.statistics = WriteStatistics()
        self._lock = threading.Lock()  # guards everything below
        self._session: session.Session | None = None
        self._pending: dict[str, pack.PendingPack] = {}  # by first letter of the pack's name
        self._not_uploaded: dict[str, pack.PendingPack] = {}  # those and the full ones, by name
        self._written: dict[bytes, Entry | None] = {}  # not in the committed index yet; None while being sealed
        self._unindexed: list[Entry] = []  # in uploaded packs
        self._indexed_at = time.monotonic()
        self._failure: BaseException | None = None

        self._index_lock = threading.Lock()  # one session marker, one index blob at a time
        self._upload_slots = threading.BoundedSemaphore(_UPLOADS_IN_FLIGHT)
        self._uploads: futures.ThreadPoolExecutor = futures.ThreadPoolExecutor(_UPLOADS_IN_FLIGHT, "pack-upload")
        self._uploading: list[futures.Future[None]] = []

        self._cache_lock = threading.Lock()
        self._metadata_packs: collections.OrderedDict[str, bytes] = collections.OrderedDict()

    # -- reading

    def refresh(self) -> None:
        """Makes contents visible that other clients have committed."""
        self._indexes.refresh()

    def find(self, content_id: str) -> Entry:
        """Looks up where a content lies.

        Raises:
            CorruptRepositoryError: The repository has no such content.
        """
        key = ids.content_key(content_id)
        with self._lock:
            entry = self._written.get(key) or self._indexes.table.find(key)
        if entry is None:
            raise errors.CorruptRepositoryError(f"the content {content_id} is in no index of the repository")
        return entry

    def list(self, prefix: str) -> list[str]:
        """Lists the ids of live contents with a prefix, committed ones only."""
        return [
            ids.content_id_of_key(entry.key) for entry in self._indexes.table.with_prefix(prefix) if not entry.deleted
        ]

    def count(self) -> int:
        """How many contents the committed index has, deleted ones included."""
        return len(self._indexes.table)

    def read(self, content_id: str) -> bytes:
        """Reads a content.

        Raises:
            BlobMissingError: Its pack does not exist.
            CorruptRepositoryError: It does not exist, or its bytes are damaged.
        """
        entry = self.find(content_id)
        return self.open(entry, self._sealed_bytes(entry))

    def open(self, entry: Entry, sealed: bytes | memoryview) -> bytes:
        """Decrypts and expands a content's bytes as they lie in the pack.

        Raises:
            CorruptRepositoryError: They are damaged.
        """
        content_id = ids.content_id_of_key(entry.key)
        try:
            plain = self._encryptor.open(sealed, entry.key[-encryption.IV_SIZE :])
            if entry.compression_id:
                plain = compression.decompress(plain, entry.compression_id, entry.original_length)
        except errors.CorruptRepositoryError as error:
            raise errors.CorruptRepositoryError(
                f"the content {content_id} in pack {entry.pack_blob_id} is damaged: {error}"
            ) from error
        if len(plain) != entry.original_length:
            raise errors.CorruptRepositoryError(
                f"the content {content_id} has {len(plain)} bytes where its index entry says {entry.original_length}"
            )
        return plain

    def read_range(self, pack_blob_id: str, offset: int, length: int) -> bytes:
        """Reads bytes of a pack, for callers that plan their reads by pack and offset."""
        return self._storage.get(pack_blob_id, offset, length)

    def _sealed_bytes(self, entry: Entry) -> bytes | memoryview:
        with self._lock:
            pending = self._not_uploaded.get(entry.pack_blob_id)
            if pending is not None:
                return bytes(pending.buffer[entry.pack_offset : entry.pack_offset + entry.packed_length])
        if not entry.pack_blob_id.startswith("q"):
            return self._storage.get(entry.pack_blob_id, entry.pack_offset, entry.packed_length)
        blob = memoryview(self._metadata_pack(entry.pack_blob_id))
        if len(blob) < entry.pack_offset + entry.packed_length:
            raise errors.CorruptRepositoryError(f"the pack {entry.pack_blob_id} is truncated: {len(blob)} bytes")
        return blob[entry.pack_offset : entry.pack_offset + entry.packed_length]

    def _metadata_pack(self, blob_id: str) -> bytes:
        """Fetches a whole pack of directories: whoever reads one of them reads its neighbours next."""
        with self._cache_lock:
            if blob_id in self._metadata_packs:
                self._metadata_packs.move_to_end(blob_id)
                return self._metadata_packs[blob_id]
        blob = self._storage.get(blob_id)
        with self._cache_lock:
            self._metadata_packs[blob_id] = blob
            if len(self._metadata_packs) > _CACHED_METADATA_PACKS:
                self._metadata_packs.popitem(last=False)
        return blob

    # -- writing

    def write(self, data: bytes | memoryview, prefix: str = "") -> str:
        """Stores a content unless the repository has it.

        Args:
            data: The plain bytes; may be empty.
            prefix: Content prefix, empty for file data.

        Returns:
            The content id. The content is durable after the next ``flush``.

        Raises:
            StorageError, StorageUnavailableError: An upload failed, perhaps that of an earlier content.
        """
        digest = self._hash_of(data)
        key = (prefix.encode() or b"\0") + digest
        content_id = prefix + digest.hex()
        with self._lock:
            self._check_failure()
            if key in self._written:
                return content_id
            committed = self._indexes.table.find(key)
            if committed is not None and not committed.deleted:
                return content_id
            self._written[key] = None
        try:
            sealed = self._encryptor.seal(data, digest[-encryption.IV_SIZE :])
            full = self._append(key, prefix, sealed, len(data), committed.timestamp + 1 if committed else 0)
        except BaseException:
            with self._lock:
                self._written.pop(key, None)
            raise
        if full is not None:
            self._start_upload(full)
        return content_id

    def flush(self) -> None:
        """Makes everything written so far durable and visible to other clients; nobody may write meanwhile.

        Raises:
            StorageError, StorageUnavailableError: Something could not be stored.
        """
        with self._lock:
            packs = list(self._pending.values())
            self._pending.clear()
        for pending in packs:
            self._start_upload(pending)
        with self._lock:
            uploading, self._uploading = self._uploading, []
        futures.wait(uploading)
        with self._lock:
            self._check_failure()
        with self._index_lock:
            self._write_index(with_manifests=True)
            if self._session is not None:
                self._session.delete_marker(self._storage)
                self._session = None

    def close(self) -> None:
        """Ends the upload threads; what was not flushed is given up."""
        self._uploads.shutdown(wait=True, cancel_futures=True)

    def _append(self, key: bytes, prefix: str, sealed: bytes, length: int, not_before: int) -> pack.PendingPack | None:
        """Puts a sealed content into the open pack of its class; returns the pack when it became full."""
        now = self._now()
        kind = "q" if prefix else "p"
        with self._lock:
            if self._session is None:
                self._refuse_retention()
                self._session = session.Session(now)
            pending = self._pending.get(kind)
            if pending is None:
                pending = pack.PendingPack(ids.new_pack_blob_id(prefix, self._session.session_id))
                self._pending[kind] = self._not_uploaded[pending.blob_id] = pending
            entry = Entry(
                key,
                max(int(now.timestamp()), not_before),
                pending.blob_id,
                len(pending.buffer),
                len(sealed),
                length,
                format_version=self._format.parameters.version,
            )
            pending.buffer += sealed
            pending.entries.append(entry)
            self._written[key] = entry
            self.statistics.contents += 1
            self.statistics.content_bytes += length
            if len(pending.buffer) < self._format.parameters.max_pack_size:
                return None
            return self._pending.pop(kind)

    def _refuse_retention(self) -> None:
        if self._format.retention_mode:
            raise errors.UnsupportedFormatError(
                f"the repository asks for object lock ({self._format.retention_mode}) on new blobs; writing with "
                "object lock is not supported yet, reading is"
            )

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _start_upload(self, full: pack.PendingPack) -> None:
        self._upload_slots.acquire()
        future = self._uploads.submit(self._upload, full)
        with self._lock:
            self._uploading = [other for other in self._uploading if not other.done()] + [future]

    def _upload(self, full: pack.PendingPack) -> None:
        try:
            with self._index_lock:
                if self._session is None:
                    raise errors.CorruptRepositoryError("a pack was finished outside a session")
                self._session.write_marker(
                    self._storage, self._hash_of, self._encryptor, self._username, self._hostname
                )
            full.finish(self._hash_of, self._encryptor)
            self._storage.put(full.blob_id, full.buffer)
            with self._lock:
                del self._not_uploaded[full.blob_id]
                self.statistics.stored_bytes += len(full.buffer)
                self._unindexed += full.entries
                overdue = time.monotonic() - self._indexed_at > _INDEX_INTERVAL
                due = overdue or len(self._unindexed) >= _INDEX_ENTRIES
            full.buffer.clear()
            if due:
                with self._index_lock:
                    self._write_index(with_manifests=False)
        except BaseException as failure:
            # Kept for the writers and for flush, which raise it; a worker thread has nobody to raise it to.
            with self._lock:
                self._failure = self._failure or failure
            raise
        finally:
            self._upload_slots.release()

    def _write_index(self, *, with_manifests: bool) -> None:
        """Indexes the contents of all uploaded packs; the caller holds the index lock.

        Manifests wait for ``flush``: one that is indexed on the way may be seen before the packs of what it names are
        durable, or although they never will be.
        """
        with self._lock:
            entries: list[Entry] = []
            waiting: list[Entry] = []
            for entry in self._unindexed:
                (entries if with_manifests or entry.key[0] != _MANIFEST else waiting).append(entry)
            self._unindexed = waiting
        if entries and self._session is not None:
            index = index_v2.build(entries)
            try:
                self._indexes.write(index, self._session.session_id)
            except BaseException:
                with self._lock:
                    self._unindexed += entries  # else a second flush would succeed without them
                raise
            with self._lock:
                self.statistics.stored_bytes += len(index) + encryption.OVERHEAD
                for entry in entries:
                    self._written.pop(entry.key, None)
        with self._lock:
            self._indexed_at = time.monotonic()
