"""Errors of the controller.

The tree::

    permanent
    ├─ InvalidRequestError               a DataUpload or DataDownload that nobody could fulfil
    ├─ StorageLocationNotFoundError      its BackupStorageLocation does not exist
    ├─ StorageLocationReadOnlyError      an upload into a location that may only be read
    ├─ StorageLocationInvalidError       a location that describes no store we can use
    ├─ SecretKeyMissingError             a Secret lacks the key it is asked for
    ├─ RepositoryAmbiguousError          several BackupRepositories for one namespace and location
    ├─ VolumeSnapshotNotFoundError       the snapshot, or its content, does not exist
    ├─ VolumeUnreachableError            a snapshot or volume without a place this process can reach
    ├─ BlockVolumeUnsupportedError       a block volume where only file systems can be moved
    ├─ TargetClaimUnsuitableError        the claim to fill is bound, or could be filled by somebody else
    └─ MoverStartError                   the mover's executable cannot be started
    temporary
    ├─ SnapshotNotReadyError             the storage is still cutting the snapshot
    ├─ TargetClaimMissingError           the claim to fill does not exist yet
    └─ BindingPendingError               the claim is not bound to the restored volume yet
"""

from __future__ import annotations

from typing import ClassVar

from velero_py_plugin import errors


class InvalidRequestError(errors.PermanentError):
    """The request lacks something or asks for something that does not exist."""

    reason: ClassVar[str] = "InvalidRequest"


class StorageLocationNotFoundError(errors.PermanentError):
    """The BackupStorageLocation does not exist."""

    reason: ClassVar[str] = "StorageLocationNotFound"


class StorageLocationReadOnlyError(errors.PermanentError):
    """The BackupStorageLocation may only be read."""

    reason: ClassVar[str] = "StorageLocationReadOnly"


class StorageLocationInvalidError(errors.PermanentError):
    """The BackupStorageLocation describes no store this project can use."""

    reason: ClassVar[str] = "StorageLocationInvalid"


class SecretKeyMissingError(errors.PermanentError):
    """A Secret, or a key of it, that something refers to does not exist."""

    reason: ClassVar[str] = "SecretKeyMissing"


class RepositoryAmbiguousError(errors.PermanentError):
    """Several BackupRepositories claim one namespace and location."""

    reason: ClassVar[str] = "RepositoryAmbiguous"


class VolumeSnapshotNotFoundError(errors.PermanentError):
    """The VolumeSnapshot or its VolumeSnapshotContent does not exist."""

    reason: ClassVar[str] = "VolumeSnapshotNotFound"


class VolumeUnreachableError(errors.PermanentError):
    """The snapshot or volume is nowhere this process can reach."""

    reason: ClassVar[str] = "VolumeUnreachable"


class BlockVolumeUnsupportedError(errors.PermanentError):
    """A block volume where only file systems can be moved."""

    reason: ClassVar[str] = "BlockVolumeUnsupported"


class TargetClaimUnsuitableError(errors.PermanentError):
    """The claim to fill is already bound, or could be bound to another volume."""

    reason: ClassVar[str] = "TargetClaimUnsuitable"


class MoverStartError(errors.PermanentError):
    """The mover's executable cannot be started."""

    reason: ClassVar[str] = "MoverStartFailed"


class SnapshotNotReadyError(errors.TemporaryError):
    """The storage is still cutting the snapshot."""

    reason: ClassVar[str] = "SnapshotNotReady"


class TargetClaimMissingError(errors.TemporaryError):
    """The claim to fill does not exist yet."""

    reason: ClassVar[str] = "TargetClaimMissing"


class BindingPendingError(errors.TemporaryError):
    """The target claim is not bound to the restored volume yet."""

    reason: ClassVar[str] = "BindingPending"
