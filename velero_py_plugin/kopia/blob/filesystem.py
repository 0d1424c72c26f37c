"""Blobs as files below one folder, laid out as kopia does.

Source: kopia v0.23.1 ``repo/blob/filesystem``. A blob is written to ``NAME.tmp.<16 hex digits>``, synced and renamed,
so that a file ending in ``.f`` is always whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from typing import Final

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.sharding import SHARDS_FILE, SUFFIX, Sharding
from velero_py_plugin.kopia.blob.storage import BlobMetadata

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_LEGACY_SHARDING: Final = Sharding((3, 3), 20)
_TEMPORARY_ERRORS: Final = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY})


class FilesystemStorage:
    """A folder of blobs; safe to use from many threads and processes.

    Args:
        path: The folder.
        create: Make the folder when it is missing, and lay out a new one as kopia does today.

    Raises:
        StorageError: The folder is missing or cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        self._path = os.path.abspath(path)
        with self._translated(f"the folder {self._path!r} cannot be used"):
            if create:
                os.makedirs(self._path, _FOLDER_MODE, exist_ok=True)
            if not os.path.isdir(self._path):
                raise errors.StorageError(f"there is no folder {self._path!r}; is the volume mounted?")
            self._sharding = self._load_sharding(create)

    @property
    def display_name(self) -> str:
        """The folder."""
        return f"file://{self._path}"

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """See ``Storage.get``."""
        with self._translated(f"the blob {blob_id} cannot be read", blob_id), open(self._file(blob_id), "rb") as file:
            if offset:
                file.seek(offset)
            data = file.read(length) if length >= 0 else file.read()
        if length >= 0 and len(data) != length:
            raise errors.CorruptRepositoryError(
                f"the blob {blob_id} in {self.display_name} is truncated: bytes {offset} to {offset + length} were "
                f"wanted, {len(data)} are there"
            )
        return data

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """See ``Storage.put``."""
        final = self._file(blob_id)
        with self._translated(f"the blob {blob_id} cannot be written"):
            try:
                self._write(final, data)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(final), _FOLDER_MODE, exist_ok=True)
                self._write(final, data)

    def delete(self, blob_id: str) -> None:
        """See ``Storage.delete``."""
        with self._translated(f"the blob {blob_id} cannot be deleted"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(blob_id))

    def metadata(self, blob_id: str) -> BlobMetadata:
        """See ``Storage.metadata``."""
        with self._translated(f"the blob {blob_id} cannot be looked up", blob_id):
            status = os.stat(self._file(blob_id))
        return BlobMetadata(blob_id, status.st_size, status.st_mtime)

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        """See ``Storage.list``."""
        with self._translated("the blobs cannot be listed"):
            yield from self._walk(self._path, "", prefix)

    def close(self) -> None:
        """Nothing to release."""

    def _file(self, blob_id: str) -> str:
        return f"{self._path}/{self._sharding.path(blob_id)}"

    def _load_sharding(self, create: bool) -> Sharding:
        path = f"{self._path}/{SHARDS_FILE}"
        try:
            with open(path, "rb") as file:
                return Sharding.from_bytes(file.read())
        except FileNotFoundError:
            sharding = Sharding() if create else _LEGACY_SHARDING
        if create:
            self._write(path, sharding.to_bytes())
        return sharding

    @staticmethod
    def _write(final: str, data: bytes | bytearray | memoryview) -> None:
        temporary = f"{final}.tmp.{secrets.token_hex(8)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        try:
            with memoryview(data) as view:
                position = 0
                while position < len(view):
                    position += os.write(descriptor, view[position:])
            os.fsync(descriptor)
            os.close(descriptor)
            descriptor = -1
            os.rename(temporary, final)
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        folder = os.open(os.path.dirname(final), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # the rename itself must survive a power cut
        finally:
            os.close(folder)

    def _walk(self, folder: str, name: str, prefix: str) -> Iterator[BlobMetadata]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                blob_id = name + entry.name[: -len(SUFFIX)]
                if blob_id.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        status = entry.stat()
                        yield BlobMetadata(blob_id, status.st_size, status.st_mtime)
            elif entry.is_dir(follow_symlinks=False):
                below = name + entry.name
                if below.startswith(prefix) or prefix.startswith(below):
                    yield from self._walk(entry.path, below, prefix)

    @contextlib.contextmanager
    def _translated(self, what: str, blob_id: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if blob_id:
                raise errors.BlobMissingError(f"the blob {blob_id} does not exist in {self.display_name}") from error
            raise errors.StorageError(f"{what} in {self.display_name}: {error.strerror}") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise errors.StorageError(f"{what}: no space is left in {self.display_name}") from error
            kind = errors.StorageUnavailableError if error.errno in _TEMPORARY_ERRORS else errors.StorageError
            raise kind(f"{what} in {self.display_name}: {error.strerror}") from error
