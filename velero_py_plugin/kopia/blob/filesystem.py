"""Blobs as files in a folder.

Source of the layout: kopia v0.23.1 ``repo/blob/filesystem/filesystem_storage.go``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator

from velero_py_plugin import errors as base_errors
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import blob_id as blob_ids
from velero_py_plugin.kopia.blob import sharding, storage

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700

_TEMPORARY = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.ENOTCONN,
        errno.EAGAIN,
        errno.EBUSY,
        errno.EMFILE,
        errno.ENFILE,
    }
)
_REFUSED = {
    errno.ENOSPC: "no space is left on the device; free some or enlarge it",
    errno.EDQUOT: "the disk quota is exhausted; free some space or raise it",
    errno.EROFS: "the file system is mounted read-only; mount it writable",
    errno.EACCES: "this process lacks the permission; correct owner and mode of the folder",
    errno.EPERM: "this process lacks the permission; correct owner and mode of the folder",
}
# Some file systems of the network and of user space cannot flush a folder, and say so with one of these.
_CANNOT_FLUSH_FOLDERS = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


class FilesystemStorage:
    """Keeps blobs as files below one folder, in the layout that kopia, SFTP and WebDAV stores share.

    Args:
        path: The folder.
        create: Make the folder and its sharding parameters when they are missing; otherwise both are only read.

    Raises:
        StorageError: The folder is missing or cannot be used.
        StorageUnavailableError: The device fails for now.
        CorruptRepositoryError: The sharding parameters are damaged.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        self._root = os.path.abspath(path)
        if create:
            with self._translated("create the folder"):
                os.makedirs(self._root, mode=_FOLDER_MODE, exist_ok=True)
        self._check_root()
        self._sharding = self._load_sharding(create=create)

    @property
    def path(self) -> str:
        """The folder, absolute."""
        return self._root

    @property
    def display_name(self) -> str:
        """The folder as a URL."""
        return f"file://{self._root}"

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """Reads a blob or a range of it; see ``Storage.get``."""
        path = self._file_of(blob_id)
        try:
            with self._translated(f"read blob {blob_id}"):
                data, size = _read(path, offset, length)
        except FileNotFoundError:
            raise self._missing(blob_id) from None
        if offset > size or (length >= 0 and len(data) != length):
            raise errors.CorruptRepositoryError(
                f"Blob {blob_id} in {self.display_name} was cut short: it has {size} bytes, "
                f"but it must have at least {offset + max(length, 0)}."
            )
        return data

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """Stores a blob durably and atomically; see ``Storage.put``."""
        with self._translated(f"write blob {blob_id}"):
            try:
                self._replace(self._file_of(blob_id), data)
            except FileNotFoundError:
                self._check_root()
                raise

    def delete(self, blob_id: str) -> None:
        """Removes a blob; a missing one is success."""
        path = self._file_of(blob_id)
        with self._translated(f"delete blob {blob_id}"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                self._check_root()

    def metadata(self, blob_id: str) -> storage.BlobMetadata:
        """Looks up one blob; see ``Storage.metadata``."""
        path = self._file_of(blob_id)
        try:
            with self._translated(f"look up blob {blob_id}"):
                status = os.stat(path)
        except FileNotFoundError:
            raise self._missing(blob_id) from None
        return storage.BlobMetadata(blob_id, status.st_size, status.st_mtime_ns / 1e9)

    def list(self, prefix: str = "") -> Iterator[storage.BlobMetadata]:
        """Lists the blobs whose names start with ``prefix``; files that are no complete blobs are passed over."""
        self._check_root()
        folders = [(self._root, "")]
        while folders:
            folder, name = folders.pop()
            with self._translated(f"list the folder {folder}"):
                found, below = _scan_folder(folder, name, prefix)
            folders.extend(below)
            yield from found

    def close(self) -> None:
        """Does nothing: no connection is held."""

    def _file_of(self, blob_id: str) -> str:
        blob_ids.check_blob_id(blob_id)
        return f"{self._root}/{self._sharding.path(blob_id)}"

    def _load_sharding(self, *, create: bool) -> sharding.Sharding:
        path = f"{self._root}/{sharding.PARAMETERS_FILE}"
        with self._translated(f"read {sharding.PARAMETERS_FILE}"):
            try:
                return sharding.Sharding.parse(_read(path, 0, -1)[0])
            except FileNotFoundError:
                pass
        # A repository older than the parameters file keeps the layout it was made with, whoever opens it and how.
        if not create or os.path.exists(f"{self._root}/kopia.repository{sharding.COMPLETE_SUFFIX}"):
            return sharding.LEGACY
        chosen = sharding.Sharding()
        with self._translated(f"write {sharding.PARAMETERS_FILE}"):
            self._replace(path, chosen.to_json())
        return chosen

    def _replace(self, path: str, data: bytes | bytearray | memoryview) -> None:
        temporary = f"{path}.tmp.{secrets.token_hex(8)}"
        folder = os.path.dirname(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(temporary, flags, _FILE_MODE)
        except FileNotFoundError:
            self._make_folder(folder)
            descriptor = os.open(temporary, flags, _FILE_MODE)
        try:
            try:
                rest = memoryview(data).cast("B")
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _flush_folder(folder)

    def _make_folder(self, folder: str) -> None:
        """Makes the folders between the root and ``folder``; never the root, whose absence is a fault."""
        missing = []
        while folder != self._root and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, _FOLDER_MODE)
            _flush_folder(os.path.dirname(path))

    def _check_root(self) -> None:
        try:
            with self._translated("use the folder"):
                is_folder = stat.S_ISDIR(os.stat(self._root).st_mode)
        except FileNotFoundError:
            is_folder = False
        if not is_folder:
            raise errors.StorageError(
                f"The repository folder {self._root} does not exist or is no folder; mount it or correct the path."
            )

    def _missing(self, blob_id: str) -> errors.BlobMissingError:
        # A store that went away as a whole, such as an unmounted volume, must not look like a damaged repository.
        self._check_root()
        return errors.BlobMissingError(f"Blob {blob_id} does not exist in {self.display_name}.")

    @contextlib.contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        """Turns errors of the operating system into errors of this package; a missing file passes through."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._translate(error, action) from error

    def _translate(self, error: OSError, action: str) -> base_errors.Error:
        cannot = f"Cannot {action} in {self.display_name}"
        if error.errno in _TEMPORARY:
            return errors.StorageUnavailableError(
                f"{cannot}: {error.strerror}; the device or its server fails for now."
            )
        return errors.StorageError(f"{cannot}: {_REFUSED.get(error.errno or 0, error.strerror)}.")


def _read(path: str, offset: int, length: int) -> tuple[bytes, int]:
    """Returns the bytes of a range, fewer when the file ends before it does, and the size of the file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        end = size if length < 0 else min(size, offset + length)
        parts: list[bytes] = []
        while offset < end:
            part = os.pread(descriptor, end - offset, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts), size
    finally:
        os.close(descriptor)


def _scan_folder(folder: str, name: str, prefix: str) -> tuple[list[storage.BlobMetadata], list[tuple[str, str]]]:
    """Returns the blobs in one folder, and the folders below that may hold more, each with its part of the name."""
    found: list[storage.BlobMetadata] = []
    below: list[tuple[str, str]] = []
    # Other clients delete blobs, and folders with them, between our reading of a name and of what it stands for.
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            full_name = name + entry.name
            if entry.is_dir(follow_symlinks=False):
                if sharding.shows(full_name, prefix):
                    below.append((entry.path, full_name))
                continue
            blob_id = full_name.removesuffix(sharding.COMPLETE_SUFFIX)
            if blob_id == full_name or not blob_id.startswith(prefix) or not blob_ids.is_blob_id(blob_id):
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                found.append(storage.BlobMetadata(blob_id, status.st_size, status.st_mtime_ns / 1e9))
    return found, below


def _flush_folder(path: str) -> None:
    """Makes the names in a folder durable; the file data was flushed before."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise
    finally:
        os.close(descriptor)
