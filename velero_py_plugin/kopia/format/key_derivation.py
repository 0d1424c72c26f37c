"""From the password to the key of the format blob, and the envelope that key seals.

Sources: kopia v0.23.1 ``internal/crypto/pb_key_deriver_*.go``, ``internal/crypto/aesgcm.go``.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cryptography import exceptions
from cryptography.hazmat.primitives.ciphers import aead

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import encryption

DEFAULT_KEY_ALGORITHM: Final = "scrypt-65536-8-1"
_KEY_SIZE: Final = 32
_MIN_SALT_SIZE: Final = 16


def format_key(password: str, unique_id: bytes, algorithm: str) -> bytes:
    """Derives the 32-byte key of the format blob.

    Args:
        password: Exactly as given; callers that trim white space do it before.
        unique_id: The repository's unique id, the salt.
        algorithm: The format blob's ``keyAlgo``.

    Raises:
        UnsupportedFormatError: The algorithm is not known.
        CorruptRepositoryError: The salt is too short.
    """
    if len(unique_id) < _MIN_SALT_SIZE:
        raise errors.CorruptRepositoryError("the format blob's unique id is shorter than 16 bytes")
    secret = password.encode()
    if algorithm == "scrypt-65536-8-1":
        return hashlib.scrypt(secret, salt=unique_id, n=65536, r=8, p=1, maxmem=128 << 20, dklen=_KEY_SIZE)
    if algorithm == "pbkdf2-sha256-600000":  # kopia 0.18 and newer
        return hashlib.pbkdf2_hmac("sha256", secret, unique_id, 600_000, _KEY_SIZE)
    if algorithm == "pbkdf2":  # kopia 0.16 and 0.17 only
        return hashlib.pbkdf2_hmac("sha256", secret, unique_id, 786_432, _KEY_SIZE)
    raise errors.UnsupportedFormatError(f"the repository derives its key by {algorithm!r}, which is not supported")


def seal_envelope(plaintext: bytes, key: bytes, unique_id: bytes) -> bytes:
    """Seals a format block: 12 random bytes, AES-256-GCM ciphertext, tag."""
    nonce = os.urandom(encryption.NONCE_SIZE)
    aes, associated = _envelope_keys(key, unique_id)
    return nonce + aead.AESGCM(aes).encrypt(nonce, plaintext, associated)


def open_envelope(sealed: bytes, key: bytes, unique_id: bytes) -> bytes:
    """Opens a format block.

    Raises:
        WrongPasswordError: The key does not open it. A changed byte cannot be told from a wrong password.
    """
    aes, associated = _envelope_keys(key, unique_id)
    try:
        return aead.AESGCM(aes).decrypt(sealed[: encryption.NONCE_SIZE], sealed[encryption.NONCE_SIZE :], associated)
    except (exceptions.InvalidTag, ValueError):
        raise errors.WrongPasswordError(
            "the repository does not open: the password is wrong, or its format blob is damaged"
        ) from None


def _envelope_keys(key: bytes, unique_id: bytes) -> tuple[bytes, bytes]:
    return (
        encryption.derive_key(key, unique_id, b"AES", 32),
        encryption.derive_key(key, unique_id, b"CHECKSUM", 32),
    )
