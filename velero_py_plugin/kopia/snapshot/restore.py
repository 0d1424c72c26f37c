"""Restores a snapshot, or a part of it, to a folder.

One thread walks the snapshot's directories, makes them, and collects what must be read. Every few megabytes the
collected contents are planned by pack and offset; worker threads fetch the ranges, decrypt and write out of order.
Directories get their attributes last, deepest first, because writing into them changes their times.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from collections import defaultdict
from concurrent import futures
from typing import Final

from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.snapshot import directory, read_plan
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry
from velero_py_plugin.kopia.snapshot.progress import Progress
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget

_PLAN_BYTES: Final = 32 << 20  # contents planned together
_PLAN_PARTS: Final = 2048
_REPLACEMENT: Final = "\ufffd"
_LONGEST_STEM: Final = 48  # letters, so that no file system finds the name with its number too long
_RANGES_IN_FLIGHT: Final = 6  # of at most 8 MiB, or one content


@dataclasses.dataclass(eq=False)
class _File:
    """A file or link being written.

    Attributes:
        path: Below the target.
        entry: What it shall be.
        missing: Parts not written yet.
        descriptor: Open file, -1 before the first part.
        lock: Guards the two above; parts arrive in any order from several threads.
    """

    path: str
    entry: DirectoryEntry
    missing: int
    descriptor: int = -1
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


@dataclasses.dataclass(frozen=True)
class RestoreResult:
    """What a restore did.

    Attributes:
        files: Regular files written.
        directories: Directories made, the root included.
        symlinks: Links made.
        bytes_written: Bytes of file data.
        attributes_not_restored: Owners, modes and times that could not be set for want of privilege, and changed names.
    """

    files: int
    directories: int
    symlinks: int
    bytes_written: int
    attributes_not_restored: int


class Restorer:
    """Restores one directory entry.

    Args:
        repository: Where from.
        target: Where to.
        workers: Threads that fetch, decrypt and write.
        progress: Counts as work is done; may be read from other threads.
        canceled: When set, the restore stops at the next range and raises ``CanceledError``.
    """

    def __init__(
        self,
        repository: kopia_repository.Repository,
        target: RestoreTarget,
        *,
        workers: int = 4,
        progress: Progress | None = None,
        canceled: threading.Event | None = None,
    ) -> None:
        self._repository = repository
        self._target = target
        self._workers = workers
        self.progress = progress or Progress()
        self._canceled = canceled or threading.Event()
        self._slots = threading.BoundedSemaphore(_RANGES_IN_FLIGHT)
        self._failure: BaseException | None = None
        self._wanted: dict[Entry, list[tuple[_File, int]]] = defaultdict(list)
        self._wanted_bytes = 0
        self._wanted_parts = 0
        self._unfinished: set[_File] = set()
        self._directories: list[tuple[str, DirectoryEntry]] = []
        self._counts: dict[directory.EntryType, int] = {directory.FILE: 0, directory.DIRECTORY: 0, directory.SYMLINK: 0}

    def restore(self, root: DirectoryEntry) -> RestoreResult:
        """Writes everything below ``root``; the target becomes that directory.

        Args:
            root: A directory, or a single file or link, which is written into the target under its own name.

        Raises:
            CorruptRepositoryError: Something in the snapshot is missing or damaged; what was written before stays.
            TargetError: The target cannot be written; what was written before stays.
            CanceledError: The caller asked to stop; what was written before stays.
        """
        if root.type == directory.FILE:
            self.progress.add_total(files=1, size=root.size)
        elif root.summary is not None:
            self.progress.add_total(files=root.summary.files, size=root.summary.size)
        with futures.ThreadPoolExecutor(self._workers, "restore") as pool:
            try:
                self._walk(root, pool)
                self._read_planned(pool)
            finally:
                pool.shutdown(wait=True)
                for file in self._unfinished:  # none, unless the restore failed
                    os.close(file.descriptor)
            self._check()
        # Deepest first: giving a directory its mode may close it to its owner, and changing a child changes its time.
        for path, entry in reversed(self._directories):
            self._target.finish_directory(path, entry)
        return RestoreResult(
            files=self._counts[directory.FILE],
            directories=self._counts[directory.DIRECTORY],
            symlinks=self._counts[directory.SYMLINK],
            bytes_written=self.progress.bytes_read,
            attributes_not_restored=self._target.attributes_not_restored,
        )

    def _walk(self, root: DirectoryEntry, pool: futures.ThreadPoolExecutor) -> None:
        if root.type != directory.DIRECTORY:
            directory.check_name(root.name)  # the name of a snapshot's root may be anything
            self._counts[root.type] += 1
            self._want(root.name, root, pool)
            return
        stack = [("", root)]
        while stack:
            path, entry = stack.pop()
            if path:
                self._target.make_directory(path)
            self._directories.append((path, entry))
            self._counts[directory.DIRECTORY] += 1
            names: set[str] = set()
            for child in directory.read_directory(self._repository.objects, entry.object_id):
                self._check()
                if child.name in names:
                    child.name = self._distinct_name(child.name, names, path)
                names.add(child.name)
                child_path = f"{path}/{child.name}" if path else child.name
                if child.type == directory.DIRECTORY:
                    stack.append((child_path, child))
                else:
                    self._counts[child.type] += 1
                    self._want(child_path, child, pool)

    def _distinct_name(self, name: str, taken: set[str], path: str) -> str:
        """Finds another name for an entry whose own is taken.

        kopia stores a replacement character for every byte of a name that is not UTF-8, so that two names may become
        one. The data is worth more than the name; any other name that occurs twice is an attack or damage.
        """
        if _REPLACEMENT not in name:
            raise errors.CorruptRepositoryError(f"the directory {path or '/'!r} has the name {name!r} twice")
        stem = name[:_LONGEST_STEM]
        distinct = next(
            other for number in itertools.count(2) if (other := f"{stem}{_REPLACEMENT}~{number}") not in taken
        )
        self._target.count_lost_attribute(
            f"the name {name!r} below {path or '/'!r} is there twice; one became {distinct!r}"
        )
        return distinct

    def _want(self, path: str, entry: DirectoryEntry, pool: futures.ThreadPoolExecutor) -> None:
        """Notes the contents of a file or link, and has them read when enough have come together."""
        contents = self._repository.contents
        try:
            # One more than the parts found so far keeps the file open until all of them are known.
            file = _File(path, entry, missing=1)
            total = 0
            for part in self._repository.objects.parts(ids.ObjectID.parse(entry.object_id)):
                with file.lock:
                    file.missing += 1
                content = contents.find(part.content_id)
                self._wanted[content].append((file, part.start))
                total += part.length
                self._wanted_bytes += part.length
                self._wanted_parts += 1
                if self._wanted_bytes >= _PLAN_BYTES or self._wanted_parts >= _PLAN_PARTS:
                    self._read_planned(pool)
            if total != entry.size:
                raise errors.CorruptRepositoryError(f"it has {total} bytes where its directory says {entry.size}")
        except errors.CorruptRepositoryError as error:
            raise type(error)(f"{path!r} cannot be restored: {error}") from error
        self._part_done(file)

    def _read_planned(self, pool: futures.ThreadPoolExecutor) -> None:
        wanted, self._wanted = self._wanted, defaultdict(list)
        self._wanted_bytes = self._wanted_parts = 0
        for planned in read_plan.plan(wanted):
            self._slots.acquire()
            self._check(release=True)
            users = {content: wanted[content] for content in planned.entries}
            future = pool.submit(self._read_range, planned, users)
            future.add_done_callback(self._range_done)

    def _range_done(self, future: futures.Future[None]) -> None:
        self._slots.release()
        failure = future.exception()
        if failure is not None and self._failure is None:
            self._failure = failure

    def _read_range(self, planned: read_plan.ReadRange, users: dict[Entry, list[tuple[_File, int]]]) -> None:
        """Runs in a worker: fetches a range and writes its contents wherever they are wanted."""
        if self._failure is not None or self._canceled.is_set():
            return
        contents = self._repository.contents
        try:
            sealed = memoryview(contents.read_range(planned.pack_blob_id, planned.offset, planned.length))
        except errors.CorruptRepositoryError as error:
            path = users[planned.entries[0]][0][0].path
            raise type(error)(f"{path!r} cannot be restored: {error}") from error
        for content in planned.entries:
            start = content.pack_offset - planned.offset
            try:
                data = contents.open(content, sealed[start : start + content.packed_length])
            except errors.CorruptRepositoryError as error:
                raise errors.CorruptRepositoryError(
                    f"{users[content][0][0].path!r} cannot be restored: {error}"
                ) from error
            for file, offset in users[content]:
                self._write(file, data, offset)

    def _write(self, file: _File, data: bytes, offset: int) -> None:
        if file.entry.type == directory.SYMLINK:
            self._target.make_symlink(file.path, data, file.entry)
        else:
            self._open(file, whole=len(data) == file.entry.size)
            self._target.write(file.descriptor, file.path, data, offset)
            self.progress.add(bytes_read=len(data))
        self._part_done(file)

    def _open(self, file: _File, *, whole: bool) -> None:
        with file.lock:
            if file.descriptor < 0:
                file.descriptor = self._target.create_file(file.path, 0 if whole else file.entry.size)
                self._unfinished.add(file)

    def _part_done(self, file: _File) -> None:
        with file.lock:
            file.missing -= 1
            done = file.missing == 0
        if done and file.entry.type == directory.FILE:
            self._open(file, whole=True)  # an object without any content
            self._unfinished.discard(file)
            self._target.finish_file(file.descriptor, file.path, file.entry)
            self.progress.add(files=1)

    def _check(self, *, release: bool = False) -> None:
        if self._failure is None and not self._canceled.is_set():
            return
        if release:
            self._slots.release()
        if self._failure is not None:
            raise self._failure
        raise errors.CanceledError("the restore was canceled before it was complete; the target is incomplete")


def find_entry(repository: kopia_repository.Repository, root: DirectoryEntry, path: str) -> DirectoryEntry:
    """Finds a path in a snapshot.

    Args:
        repository: Holds the directories.
        root: Where the path begins.
        path: Names separated by ``/``; empty for the root itself.

    Raises:
        SnapshotNotFoundError: The snapshot has no such path.
        CorruptRepositoryError: A directory on the way cannot be read.
    """
    entry = root
    for name in filter(None, path.split("/")):
        children = (
            directory.read_directory(repository.objects, entry.object_id) if entry.type == directory.DIRECTORY else []
        )
        for child in children:
            if child.name == name:
                entry = child
                break
        else:
            raise errors.SnapshotNotFoundError(f"the snapshot has no {os.path.normpath(path)!r}: {name!r} is missing")
    return entry
