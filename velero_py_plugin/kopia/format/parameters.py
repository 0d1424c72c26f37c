"""The parameters of a repository: what its encrypted format block holds.

Source: kopia v0.23.1 ``repo/format``. Field order is Go's struct order, so that a block written here prints the same.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import secrets
from typing import Any, Final, Self

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import encryption, hashing, splitter

_SECOND: Final = 1_000_000_000
_KNOWN_FEATURES: Final = frozenset({"index-v1", "index-v2"})
_DEFAULT_MAX_PACK_SIZE: Final = 20 << 20


@dataclasses.dataclass(frozen=True)
class EpochParameters:
    """When index blobs are counted into a new epoch, compacted and removed. Durations are nanoseconds."""

    enabled: bool = True
    refresh_frequency: int = 1200 * _SECOND
    full_checkpoint_frequency: int = 7
    cleanup_safety_margin: int = 14400 * _SECOND
    min_epoch_duration: int = 86400 * _SECOND
    advance_on_count: int = 20
    advance_on_total_bytes: int = 10 << 20
    delete_parallelism: int = 4

    def to_json(self) -> dict[str, Any]:
        """Kopia's names and order."""
        return dict(zip(_EPOCH_KEYS, dataclasses.astuple(self), strict=True))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Reads kopia's names; what is absent keeps its default only when epochs are on."""
        return cls(*(value.get(key, False if key == "Enabled" else 0) for key in _EPOCH_KEYS))


_EPOCH_KEYS: Final = (
    "Enabled",
    "EpochRefreshFrequency",
    "FullCheckpointFrequency",
    "CleanupSafetyMargin",
    "MinEpochDuration",
    "EpochAdvanceOnCountThreshold",
    "EpochAdvanceOnTotalSizeBytesThreshold",
    "DeleteParallelism",
)


@dataclasses.dataclass(frozen=True)
class FormatParameters:
    """What the encrypted format block says.

    Attributes:
        hash: Name of the content hash.
        encryption: Name of the content encryption.
        splitter: Name of the default splitter.
        version: Repository format version, 1 to 3.
        index_version: Version of pack indexes, 1 or 2.
        max_pack_size: A pack at least this long is finished, in bytes.
        epoch: Epoch parameters.
        secret: Key of the content hash.
        master_key: Root of the encryption keys.
        ecc: Name of the error correction, empty for none.
    """

    hash: str = hashing.DEFAULT_HASH
    encryption: str = encryption.DEFAULT_ENCRYPTION
    splitter: str = splitter.DEFAULT_SPLITTER
    version: int = 3
    index_version: int = 2
    max_pack_size: int = _DEFAULT_MAX_PACK_SIZE
    epoch: EpochParameters = dataclasses.field(default_factory=EpochParameters)
    secret: bytes = dataclasses.field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    master_key: bytes = dataclasses.field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    ecc: str = ""

    def to_json(self) -> dict[str, Any]:
        """The flat ``format`` object in kopia's order."""
        return {
            "hash": self.hash,
            "encryption": self.encryption,
            "secret": base64.b64encode(self.secret).decode(),
            "masterKey": base64.b64encode(self.master_key).decode(),
            "version": self.version,
            "maxPackSize": self.max_pack_size,
            "indexVersion": self.index_version,
            "epochParameters": self.epoch.to_json(),
            "enablePasswordChange": True,
            "splitter": self.splitter,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], now: datetime.datetime) -> Self:
        """Reads and checks the ``format`` object.

        Args:
            value: The object.
            now: The current time, for the upgrade lock.

        Raises:
            CorruptRepositoryError: A field has a wrong type.
            UnsupportedFormatError: A version or feature is not known.
            RepositoryLockedError: The repository is being upgraded.
        """
        try:
            parameters = cls(
                hash=str(value["hash"]),
                encryption=str(value["encryption"]),
                splitter=str(value.get("splitter", "")),
                version=int(value["version"]),
                index_version=int(value.get("indexVersion") or 1),
                max_pack_size=int(value.get("maxPackSize") or _DEFAULT_MAX_PACK_SIZE),
                epoch=EpochParameters.from_json(value.get("epochParameters") or {}),
                secret=base64.b64decode(value.get("secret") or "", validate=True),
                master_key=base64.b64decode(value.get("masterKey") or "", validate=True),
                ecc=str(value.get("ecc") or "") if value.get("eccOverheadPercent") else "",
            )
            _check_features(value.get("requiredFeatures") or [])
            _check_upgrade_lock(value.get("upgradeLock"), now)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise errors.CorruptRepositoryError(f"the repository's format block cannot be read: {error!r}") from error
        parameters.check_supported()
        return parameters

    def check_supported(self) -> None:
        """Raises ``UnsupportedFormatError`` when this library cannot read or write such a repository."""
        if self.version not in (2, 3) or self.index_version != 2 or not self.epoch.enabled:
            raise errors.UnsupportedFormatError(
                f"the repository has format version {self.version}, index version {self.index_version} and epochs "
                f"{'on' if self.epoch.enabled else 'off'}; supported are versions 2 and 3 with index version 2 and "
                "epochs on (kopia 0.9 and newer, Velero 1.12 and newer)"
            )
        if self.ecc:
            raise errors.UnsupportedFormatError(f"the repository uses error correction ({self.ecc}): not supported")


def _check_features(features: list[dict[str, Any]]) -> None:
    for feature in features:
        name = str(feature["feature"])
        reaction = feature.get("ifNotUnderstood") or {}
        if name not in _KNOWN_FEATURES and not reaction.get("warn"):
            raise errors.UnsupportedFormatError(
                f"the repository requires the feature {name!r}, which is not supported. {reaction.get('message', '')}"
            )


def _check_upgrade_lock(lock: dict[str, Any] | None, now: datetime.datetime) -> None:
    """Refuses a repository under upgrade (kopia v0.23.1 ``repo/format/upgrade_lock_intent.go``)."""
    if not lock:
        return
    notice = datetime.timedelta(microseconds=int(lock.get("advanceNoticeDuration", 0)) / 1000)
    drain = datetime.timedelta(
        microseconds=(int(lock.get("maxPermittedClockDrift", 0)) + 2 * int(lock.get("ioDrainTimeout", 0))) / 1000
    )
    created = datetime.datetime.fromisoformat(str(lock.get("creationTime")))
    if notice < drain or now >= created + notice - drain:
        raise errors.RepositoryLockedError(
            f"the repository is being upgraded by {str(lock.get('ownerID', ''))!r}; try again when the upgrade has "
            "finished",
            retry_after=60,
        )
