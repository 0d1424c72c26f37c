"""The blob ``kopia.repository`` and its companion ``kopia.blobcfg``.

Source: kopia v0.23.1 ``repo/format/format_blob.go``, ``blobcfg_blob.go``. Creation writes ``kopia.blobcfg`` first, so a
format blob never stands alone.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import json
import secrets
from typing import Final

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import storage as blob_storage
from velero_py_plugin.kopia.codec import encryption, go_json
from velero_py_plugin.kopia.format import key_derivation
from velero_py_plugin.kopia.format.parameters import FormatParameters

FORMAT_BLOB: Final = "kopia.repository"
BLOBCFG_BLOB: Final = "kopia.blobcfg"
_TOOL: Final = "https://github.com/kopia/kopia"  # kopia's own constant: it refuses nothing, but shows it
_ENVELOPE: Final = "AES256_GCM"


@dataclasses.dataclass(frozen=True)
class Format:
    """An opened format blob.

    Attributes:
        unique_id: 32 random bytes, the repository's identity and salt.
        parameters: What the encrypted block says.
        retention_mode: Object-lock mode of new blobs, empty for none.
        retention_period: Object-lock period in nanoseconds, 0 for none.
    """

    unique_id: bytes
    parameters: FormatParameters
    retention_mode: str = ""
    retention_period: int = 0

    def maintenance_key(self) -> bytes:
        """The key of the maintenance schedule blob."""
        return encryption.derive_key(self.parameters.master_key, self.unique_id, b"maintenance schedule", 32)


def create(storage: blob_storage.Storage, password: str, parameters: FormatParameters) -> Format:
    """Writes a new format blob.

    Raises:
        RepositoryExistsError: A format blob or its companion is there already.
    """
    for name in (FORMAT_BLOB, BLOBCFG_BLOB):
        try:
            storage.metadata(name)
        except errors.BlobMissingError:
            continue
        raise errors.RepositoryExistsError(f"there is a repository already in {storage.display_name} ({name} exists)")
    unique_id = secrets.token_bytes(32)
    key = key_derivation.format_key(password, unique_id, key_derivation.DEFAULT_KEY_ALGORITHM)
    block = key_derivation.seal_envelope(go_json.dumps({"format": parameters.to_json()}), key, unique_id)
    blob = {
        "tool": _TOOL,
        "buildVersion": "velero-py-plugin",
        "buildInfo": "",
        "uniqueID": base64.b64encode(unique_id).decode(),
        "keyAlgo": key_derivation.DEFAULT_KEY_ALGORITHM,
        "encryption": _ENVELOPE,
        "encryptedBlockFormat": base64.b64encode(block).decode(),
    }
    storage.put(BLOBCFG_BLOB, key_derivation.seal_envelope(b"{}", key, unique_id))
    storage.put(FORMAT_BLOB, json.dumps(blob, indent=2).encode() + b"\n")
    return Format(unique_id, parameters)


def load(storage: blob_storage.Storage, password: str, now: datetime.datetime) -> Format:
    """Reads and opens the format blob.

    Raises:
        RepositoryNotFoundError: There is none.
        WrongPasswordError: The password does not open it.
        CorruptRepositoryError: It is not a format blob.
        UnsupportedFormatError: This library cannot use the repository.
        RepositoryLockedError: The repository is being upgraded.
    """
    try:
        raw = storage.get(FORMAT_BLOB)
    except errors.BlobMissingError:
        raise errors.RepositoryNotFoundError(
            f"there is no repository in {storage.display_name}: it has no blob {FORMAT_BLOB}"
        ) from None
    blob = go_json.loads(raw, "the format blob")
    try:
        unique_id = base64.b64decode(blob["uniqueID"], validate=True)
        block = base64.b64decode(blob["encryptedBlockFormat"], validate=True)
        key_algorithm, envelope = str(blob["keyAlgo"]), blob["encryption"]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise errors.CorruptRepositoryError(f"the format blob cannot be read: {error!r}") from error
    if envelope != _ENVELOPE:
        raise errors.UnsupportedFormatError(f"the format blob is sealed by {envelope!r}, which is not supported")
    key = key_derivation.format_key(password, unique_id, key_algorithm)
    block_json = go_json.loads(key_derivation.open_envelope(block, key, unique_id), "the encrypted format block")
    if not isinstance(block_json, dict) or not isinstance(block_json.get("format"), dict):
        raise errors.CorruptRepositoryError("the encrypted format block has no 'format' object")
    parameters = FormatParameters.from_json(block_json["format"], now)
    retention_mode, retention_period = _load_retention(storage, key, unique_id)
    return Format(unique_id, parameters, retention_mode, retention_period)


def _load_retention(storage: blob_storage.Storage, key: bytes, unique_id: bytes) -> tuple[str, int]:
    try:
        sealed = storage.get(BLOBCFG_BLOB)
    except errors.BlobMissingError:
        return "", 0
    config = go_json.loads(key_derivation.open_envelope(sealed, key, unique_id), BLOBCFG_BLOB)
    if not isinstance(config, dict):
        raise errors.CorruptRepositoryError(f"{BLOBCFG_BLOB} is not an object")
    mode, period = config.get("retentionMode") or "", config.get("retentionPeriod") or 0
    if not isinstance(mode, str) or not isinstance(period, int):
        raise errors.CorruptRepositoryError(f"{BLOBCFG_BLOB} has fields of the wrong type")
    return mode, period
