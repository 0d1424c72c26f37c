"""Where a restore writes: files, links and directories below one folder, and nothing outside it.

Every path is opened relative to the target's descriptor. Directories are made by the restore itself or checked to be
real ones; the last component of a path is never followed when it is a link.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry

_LOG = logging.getLogger(__name__)
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IGNORED_IN_EMPTY: Final = frozenset({"lost+found"})  # what mkfs leaves in a fresh volume
# EINVAL is the answer for an owner that has no number in this process's user namespace.
_NOT_PERMITTED: Final = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL})
_SPARSE_BLOCK: Final = 4096


class RestoreTarget:
    """An open target folder.

    Args:
        folder: The folder; made when missing.
        overwrite: Replace files and links that exist. Without it the folder must be empty.
        sparse: Leave blocks of zeros unwritten.

    Raises:
        TargetError: The folder cannot be used, or is not empty.
    """

    def __init__(self, folder: str, *, overwrite: bool = False, sparse: bool = False) -> None:
        self._folder = folder
        self._overwrite = overwrite
        self._sparse = sparse
        self.attributes_not_restored = 0
        self._lock = threading.Lock()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise errors.TargetError(f"the target {folder!r} cannot be used: {error.strerror}") from error
        existing = set(os.listdir(self._root)) - _IGNORED_IN_EMPTY
        if existing and not overwrite:
            os.close(self._root)
            raise errors.TargetError(
                f"the target {folder!r} is not empty (it has {min(existing)!r}); restore to an empty folder, or say "
                "--overwrite to replace what has the same name"
            )

    def close(self) -> None:
        """Closes the folder."""
        os.close(self._root)

    def error(self, path: str, error: OSError) -> errors.TargetError:
        """Says in a sentence what went wrong with a path below the target."""
        where = f"{self._folder}/{path}" if path else self._folder
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return errors.TargetError(
                f"no space is left at the target while writing {where!r}: {error.strerror}; the restore is incomplete"
            )
        if error.errno == errno.EEXIST:
            return errors.TargetError(f"{where!r} exists already and was not replaced")
        return errors.TargetError(f"{where!r} cannot be written: {error.strerror}")

    def make_directory(self, path: str) -> None:
        """Makes a directory only its owner may enter; its attributes follow when everything below is written."""
        try:
            try:
                os.mkdir(path, 0o700, dir_fd=self._root)
            except FileExistsError:
                if not self._overwrite:
                    raise
                # Refuses a link or a file in the directory's place.
                os.close(os.open(path, _OPEN_DIRECTORY, dir_fd=self._root))
        except OSError as error:
            raise self.error(path, error) from error

    def make_symlink(self, path: str, link: bytes, entry: DirectoryEntry) -> None:
        """Makes a symbolic link, whatever it points to, with owner and time."""
        try:
            self._make_way(path)
            os.symlink(link, os.fsencode(path), dir_fd=self._root)
            self._attempt(lambda: os.chown(path, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False), path)
            os.utime(path, ns=(entry.mtime, entry.mtime), dir_fd=self._root, follow_symlinks=False)
        except OSError as error:
            raise self.error(path, error) from error
        except ValueError as error:
            raise errors.CorruptRepositoryError(f"the link {path!r} cannot be restored: {error}") from error

    def create_file(self, path: str, size: int) -> int:
        """Makes a file of the given size for writing and returns its descriptor.

        A file that is written by one ``write`` needs no size and passes 0.
        """
        try:
            self._make_way(path)
            descriptor = os.open(path, _CREATE, 0o600, dir_fd=self._root)
            if size:
                os.ftruncate(descriptor, size)
        except OSError as error:
            raise self.error(path, error) from error
        return descriptor

    def write(self, descriptor: int, path: str, data: bytes, offset: int) -> None:
        """Writes at an offset, leaving out zeros where sparse files are wanted."""
        try:
            runs = _data_runs(data) if self._sparse else [(0, len(data))]
            for start, end in runs:
                view = memoryview(data)[start:end]
                position = offset + start
                while view:
                    written = os.pwrite(descriptor, view, position)
                    view, position = view[written:], position + written
            if self._sparse and os.fstat(descriptor).st_size < offset + len(data):
                os.ftruncate(descriptor, offset + len(data))
        except OSError as error:
            raise self.error(path, error) from error

    def finish_file(self, descriptor: int, path: str, entry: DirectoryEntry) -> None:
        """Gives a file its owner, mode and time, and closes it."""
        try:
            self._set_attributes(descriptor, path, entry)
        except OSError as error:
            raise self.error(path, error) from error
        finally:
            os.close(descriptor)

    def finish_directory(self, path: str, entry: DirectoryEntry) -> None:
        """Gives a directory its owner, mode and time; ``""`` is the target itself."""
        try:
            descriptor = os.open(path or ".", _OPEN_DIRECTORY, dir_fd=self._root)
            try:
                self._set_attributes(descriptor, path, entry)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self.error(path, error) from error

    def count_lost_attribute(self, what: str) -> None:
        """Counts something about an entry that could not be restored, and logs the first."""
        with self._lock:
            self.attributes_not_restored += 1
            first = self.attributes_not_restored == 1
        if first:
            _LOG.warning("%s; further ones are only counted", what)

    def _make_way(self, path: str) -> None:
        if self._overwrite:
            try:
                if not stat.S_ISDIR(os.stat(path, dir_fd=self._root, follow_symlinks=False).st_mode):
                    os.unlink(path, dir_fd=self._root)
            except FileNotFoundError:
                return

    def _set_attributes(self, descriptor: int, path: str, entry: DirectoryEntry) -> None:
        status = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
            self._attempt(lambda: os.fchown(descriptor, entry.uid, entry.gid), path)
        # After chown, which clears set-uid and set-gid.
        self._attempt(lambda: os.fchmod(descriptor, entry.mode), path)
        self._attempt(lambda: os.utime(descriptor, ns=(entry.mtime, entry.mtime)), path)

    def _attempt(self, change: Callable[[], None], path: str) -> None:
        try:
            change()
        except OSError as error:
            if error.errno not in _NOT_PERMITTED:
                raise
            # Only root may give files away, only the owner change modes; a volume's own folder may be neither's. The
            # data is there; the loss is counted and reported, never silent.
            self.count_lost_attribute(
                f"an owner, mode or time of {path or self._folder!r} cannot be restored ({error})"
            )


def _data_runs(data: bytes) -> list[tuple[int, int]]:
    """Finds the stretches of a buffer that are not whole blocks of zeros."""
    whole = len(data) // _SPARSE_BLOCK * _SPARSE_BLOCK
    used = np.frombuffer(data, np.uint8, whole).reshape(-1, _SPARSE_BLOCK).any(axis=1)
    edges = np.flatnonzero(np.diff(used, prepend=False, append=False)) * _SPARSE_BLOCK
    runs = [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
    if whole < len(data):
        runs.append((whole, len(data)))
    return runs
