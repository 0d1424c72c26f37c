"""Errors of the repository library.

The tree::

    RepositoryError (never raised itself)
    ├─ WrongPasswordError        the format blob does not open with this password
    ├─ RepositoryNotFoundError   there is no format blob at this place
    ├─ RepositoryExistsError     creating would overwrite something
    ├─ UnsupportedFormatError    a format, algorithm or required feature this library does not know
    ├─ RepositoryLockedError     the repository is being upgraded by another client (temporary)
    ├─ CorruptRepositoryError    bytes in the repository are not what they must be
    │  └─ BlobMissingError       a blob that is referred to does not exist
    ├─ StorageError              the store refuses: no bucket, no permission, a full disk
    ├─ StorageUnavailableError   the store does not answer or fails for now (temporary)
    ├─ SnapshotNotFoundError     no such snapshot, or no such path in it
    ├─ SourceError               a source file or folder cannot be read
    ├─ TargetError               a restore target cannot be written, or is not empty
    └─ CanceledError             the caller asked to stop
"""

from __future__ import annotations

from typing import ClassVar

from velero_py_plugin import errors


class RepositoryError(errors.PermanentError):
    """Base of the permanent errors of this package."""

    reason: ClassVar[str] = "RepositoryError"


class WrongPasswordError(RepositoryError):
    """The format blob does not open with the given password."""

    reason: ClassVar[str] = "RepositoryWrongPassword"


class RepositoryNotFoundError(RepositoryError):
    """There is no repository at this place."""

    reason: ClassVar[str] = "RepositoryNotFound"


class RepositoryExistsError(RepositoryError):
    """Something is already stored where a repository was to be created."""

    reason: ClassVar[str] = "RepositoryExists"


class UnsupportedFormatError(RepositoryError):
    """The repository uses a format, algorithm or feature that this library does not know."""

    reason: ClassVar[str] = "RepositoryFormatUnsupported"


class RepositoryLockedError(errors.TemporaryError):
    """Another client is upgrading the repository."""

    reason: ClassVar[str] = "RepositoryLocked"


class CorruptRepositoryError(RepositoryError):
    """Bytes in the repository are not what the format or their checksum demands."""

    reason: ClassVar[str] = "RepositoryCorrupt"


class BlobMissingError(CorruptRepositoryError):
    """A blob that something refers to does not exist."""

    reason: ClassVar[str] = "BlobMissing"


class StorageError(RepositoryError):
    """The store refuses what was asked of it, and will refuse it again."""

    reason: ClassVar[str] = "StorageRefused"


class StorageUnavailableError(errors.TemporaryError):
    """The store does not answer, or fails for now."""

    reason: ClassVar[str] = "StorageUnavailable"


class SnapshotNotFoundError(RepositoryError):
    """The repository has no such snapshot, or the snapshot no such path."""

    reason: ClassVar[str] = "SnapshotNotFound"


class SourceError(RepositoryError):
    """A file or folder to be backed up cannot be read."""

    reason: ClassVar[str] = "SourceUnreadable"


class TargetError(RepositoryError):
    """A file or folder cannot be restored where it was to go."""

    reason: ClassVar[str] = "TargetNotWritable"


class CanceledError(RepositoryError):
    """The caller asked to stop; nothing was committed."""

    reason: ClassVar[str] = "Canceled"
