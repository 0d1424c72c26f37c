"""Uploads a folder as a snapshot.

One thread walks: it lists directories, compares with the previous snapshot, cuts large files into chunks. A few worker
threads read small files in batches, hash, seal and pack. Two more upload full packs. Data only ever moves forward, and
at every step a bound on what may be in flight makes the step before wait: memory does not grow with the number of files
or their size.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import logging
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Final

from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.codec import go_json, splitter
from velero_py_plugin.kopia.snapshot import directory, snapshot_manifest
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry
from velero_py_plugin.kopia.snapshot.progress import Progress
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot, Source, UploadStatistics

_LOG = logging.getLogger(__name__)
_SMALL_FILE: Final = 1 << 20  # bytes; smaller files are read whole by a worker
_BATCH_FILES: Final = 64
_BATCH_BYTES: Final = 4 << 20
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclasses.dataclass
class _Frame:
    """A directory being walked: what is known of it, and what its workers still owe."""

    path: str
    entry: DirectoryEntry
    descriptor: int
    previous: dict[str, DirectoryEntry] = dataclasses.field(default_factory=dict)
    subdirectories: list[DirectoryEntry] = dataclasses.field(default_factory=list)
    entries: list[DirectoryEntry] = dataclasses.field(default_factory=list)
    batches: list[futures.Future[list[DirectoryEntry]]] = dataclasses.field(default_factory=list)


class Uploader:
    """Uploads one folder.

    Args:
        repository: Where to.
        workers: Threads that hash and seal.
        progress: Counts as work is done; may be read from other threads.
        canceled: When set, the upload stops at the next file or chunk and raises ``CanceledError``.
    """

    def __init__(
        self,
        repository: kopia_repository.Repository,
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        canceled: threading.Event | None = None,
    ) -> None:
        self._repository = repository
        self._workers = workers or max(2, os.cpu_count() or 1)
        self.progress = progress or Progress()
        self._canceled = canceled or threading.Event()
        self._statistics = UploadStatistics()
        self._batch_slots = threading.BoundedSemaphore(2 * self._workers)

    def upload(
        self,
        folder: str,
        source: Source,
        *,
        parent: Snapshot | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        pins: tuple[str, ...] = (),
    ) -> Snapshot:
        """Stores a folder and its snapshot manifest, durably.

        Args:
            folder: The folder; symbolic links in it are stored, not followed.
            source: What the snapshot is filed under.
            parent: A snapshot whose unchanged files need not be read again.
            description: Free text for the manifest.
            tags: Labels of the manifest.
            pins: Names that keep kopia from expiring the snapshot.

        Raises:
            SourceError: A file or folder cannot be read; nothing is committed.
            CanceledError: The caller asked to stop; nothing is committed.
            StorageError, StorageUnavailableError: The repository cannot be written.
        """
        repository = self._repository
        start_time = repository.now_ns()
        with futures.ThreadPoolExecutor(self._workers, "upload") as pool:
            try:
                root_entry = self._walk(folder, parent.root_entry if parent else None, pool)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        snapshot = snapshot_manifest.save(
            repository.manifests,
            Snapshot(
                manifest_id="",
                source=source,
                start_time=start_time,
                end_time=repository.now_ns(),
                root_entry=root_entry,
                description=description,
                tags=dict(tags or {}),
                pins=pins,
                statistics=self._statistics.to_json(),
            ),
        )
        repository.flush()
        return snapshot

    def _walk(
        self, folder: str, previous_root: DirectoryEntry | None, pool: futures.ThreadPoolExecutor
    ) -> DirectoryEntry:
        name = os.path.basename(os.path.abspath(folder)) or "/"
        stack: list[_Frame] = []
        try:
            self._enter(stack, _open_directory(folder, folder), name, folder, previous_root, pool)
            while True:
                frame = stack[-1]
                if frame.subdirectories:
                    child = frame.subdirectories.pop().name
                    path = f"{frame.path}/{child}"
                    try:
                        descriptor = _open_directory(child, path, frame.descriptor)
                    except FileNotFoundError:
                        continue  # removed since it was listed
                    self._enter(stack, descriptor, child, path, frame.previous.get(child), pool)
                    continue
                self._leave(frame)
                stack.pop()
                if not stack:
                    return frame.entry
                stack[-1].entries.append(frame.entry)
        finally:
            if stack:
                self._canceled_workers(stack)
            for frame in stack:
                if frame.descriptor >= 0:
                    os.close(frame.descriptor)

    @staticmethod
    def _canceled_workers(stack: list[_Frame]) -> None:
        """Waits for workers that still read through the descriptors about to be closed."""
        batches = [batch for frame in stack for batch in frame.batches]
        for batch in batches:
            batch.cancel()
        futures.wait(batches)

    def _enter(
        self,
        stack: list[_Frame],
        descriptor: int,
        name: str,
        path: str,
        previous: DirectoryEntry | None,
        pool: futures.ThreadPoolExecutor,
    ) -> None:
        """Puts an open directory on the stack, lists it and hands its files to the workers."""
        frame = _Frame(path, _entry_of(name, os.fstat(descriptor)), descriptor)
        stack.append(frame)  # first, so that a failure below finds the workers before it closes what they read through
        self._check_canceled()
        frame.previous = self._previous_entries(previous)
        self._statistics.dir_count += 1
        self._list(frame, pool)

    def _previous_entries(self, previous: DirectoryEntry | None) -> dict[str, DirectoryEntry]:
        if previous is None or previous.type != directory.DIRECTORY:
            return {}
        try:
            entries = directory.read_directory(self._repository.objects, previous.object_id)
        except errors.CorruptRepositoryError as error:
            # The new snapshot must not inherit the damage: everything below is read again.
            _LOG.warning("the previous snapshot cannot be used for %r: %s", previous.name, error)
            return {}
        return {entry.name: entry for entry in entries}

    def _list(self, frame: _Frame, pool: futures.ThreadPoolExecutor) -> None:
        batch: list[DirectoryEntry] = []
        batch_bytes = 0
        try:
            names = os.listdir(frame.descriptor)
        except OSError as error:
            raise errors.SourceError(f"the folder {frame.path!r} cannot be read: {error.strerror}") from error
        for name in sorted(names):
            try:
                status = os.stat(name, dir_fd=frame.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                raise _unreadable(frame, name, error) from error
            entry = _entry_of(name, status)
            if entry.type == directory.DIRECTORY:
                frame.subdirectories.append(entry)
            elif not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                self._statistics.excluded_file_count += 1
                _LOG.warning("%r is neither file, folder nor link and was left out", f"{frame.path}/{name}")
            elif self._reuse(entry, frame.previous.get(name)):
                frame.entries.append(entry)
            elif entry.size > _SMALL_FILE:
                self._store_large(frame, entry, pool)
            else:
                batch.append(entry)
                batch_bytes += entry.size
                if len(batch) >= _BATCH_FILES or batch_bytes >= _BATCH_BYTES:
                    self._submit(frame, batch, pool)
                    batch, batch_bytes = [], 0
        if batch:
            self._submit(frame, batch, pool)

    def _reuse(self, entry: DirectoryEntry, previous: DirectoryEntry | None) -> bool:
        """Takes the object of an unchanged file from the previous snapshot, if the repository still has it."""
        if previous is None or not entry.same_metadata(previous):
            return False
        try:
            self._repository.contents.find(ids.ObjectID.parse(previous.object_id).content_id)
        except errors.CorruptRepositoryError as error:
            _LOG.warning("%r is read again: %s", entry.name, error)
            return False
        entry.object_id = previous.object_id
        self._statistics.cached_files += 1
        if entry.type == directory.FILE:
            self._statistics.total_size += entry.size
            self.progress.add(files=1, bytes_reused=entry.size)
        return True

    def _submit(self, frame: _Frame, batch: list[DirectoryEntry], pool: futures.ThreadPoolExecutor) -> None:
        self._check_canceled()
        self._batch_slots.acquire()
        future = pool.submit(self._store_batch, frame, batch)
        future.add_done_callback(lambda _: self._batch_slots.release())
        frame.batches.append(future)

    def _store_batch(self, frame: _Frame, batch: list[DirectoryEntry]) -> list[DirectoryEntry]:
        """Runs in a worker: reads and stores small files and links."""
        stored: list[DirectoryEntry] = []
        objects = self._repository.objects
        for entry in batch:
            self._check_canceled()
            try:
                if entry.type == directory.SYMLINK:
                    data = os.fsencode(os.readlink(entry.name, dir_fd=frame.descriptor))
                else:
                    data = _read_whole(entry.name, frame.descriptor, entry.size)
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                raise _unreadable(frame, entry.name, error) from error
            entry.object_id = str(objects.write_bytes(data))
            entry.size = len(data)
            stored.append(entry)
            if entry.type == directory.FILE:
                self.progress.add(files=1, bytes_read=len(data))
        return stored

    def _store_large(self, frame: _Frame, entry: DirectoryEntry, pool: futures.ThreadPoolExecutor) -> None:
        """Cuts a large file in this thread while the workers hash and seal its chunks."""
        objects = self._repository.objects
        try:
            with open(os.open(entry.name, _OPEN_FILE, dir_fd=frame.descriptor), "rb", buffering=0) as file:
                object_id, entry.size = objects.write(self._chunks(file, objects.splitter), "", pool)
        except FileNotFoundError:
            return  # removed since it was listed
        except OSError as error:
            raise _unreadable(frame, entry.name, error) from error
        entry.object_id = str(object_id)
        frame.entries.append(entry)
        self._statistics.file_count += 1
        self._statistics.non_cached_files += 1
        self._statistics.total_size += entry.size
        self.progress.add(files=1)

    def _chunks(self, file: io.FileIO, how: splitter.Splitter) -> Iterator[bytes]:
        for chunk in splitter.split(file.readinto, how):
            self._check_canceled()
            self.progress.add(bytes_read=len(chunk))
            yield chunk

    def _leave(self, frame: _Frame) -> None:
        """Collects what the workers stored and writes the directory."""
        for batch in frame.batches:
            for entry in batch.result():
                frame.entries.append(entry)
                if entry.type == directory.FILE:
                    self._statistics.file_count += 1
                    self._statistics.non_cached_files += 1
                    self._statistics.total_size += entry.size
        frame.batches.clear()
        os.close(frame.descriptor)
        frame.descriptor = -1
        frame.entry.object_id, frame.entry.summary = directory.write_directory(
            self._repository.objects, frame.entries, frame.entry.mtime
        )

    def _check_canceled(self) -> None:
        if self._canceled.is_set():
            raise errors.CanceledError("the upload was canceled before it was complete; nothing was committed")


def _open_directory(name: str, path: str, parent: int | None = None) -> int:
    try:
        # Only the folder a person named may be a link to one.
        return os.open(name, _OPEN_DIRECTORY & ~(os.O_NOFOLLOW if parent is None else 0), dir_fd=parent)
    except OSError as error:
        if parent is not None and isinstance(error, FileNotFoundError):
            raise
        raise errors.SourceError(f"the folder {path!r} cannot be read: {error.strerror}") from error


def _unreadable(frame: _Frame, name: str, error: OSError) -> errors.SourceError:
    # repr, because the message becomes JSON, which has no place for bytes that are not UTF-8
    return errors.SourceError(f"the file {f'{frame.path}/{name}'!r} cannot be read: {error.strerror}")


def _entry_of(name: str, status: os.stat_result) -> DirectoryEntry:
    kind = stat.S_IFMT(status.st_mode)
    entry_type = (
        directory.DIRECTORY if kind == stat.S_IFDIR else directory.SYMLINK if kind == stat.S_IFLNK else directory.FILE
    )
    return DirectoryEntry(
        name=name,
        type=entry_type,
        object_id="",
        mode=stat.S_IMODE(status.st_mode),
        size=0 if entry_type == directory.DIRECTORY else status.st_size,
        # Years that text has no place for, which some file systems have, become the nearest that it has.
        mtime=min(max(status.st_mtime_ns, go_json.MIN_TIME), go_json.MAX_TIME),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def _read_whole(name: str, directory_descriptor: int, size: int) -> bytes:
    descriptor = os.open(name, _OPEN_FILE, dir_fd=directory_descriptor)
    try:
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return data
        # Grown or truncated since it was listed, or an interrupted read: take what is there.
        pieces = [data]
        while piece := os.read(descriptor, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def scan(folder: str, progress: Progress, canceled: threading.Event) -> None:
    """Counts what lies below a folder, so that progress can say how much there is; errors are left to the upload."""
    stack = [folder]
    while stack and not canceled.is_set():
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        progress.add_total(files=1, size=entry.stat(follow_symlinks=False).st_size)
        except OSError as error:
            _LOG.debug("not counted: %s (%s)", error, errno.errorcode.get(error.errno or 0, ""))
