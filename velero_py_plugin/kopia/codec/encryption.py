"""Sealing and opening of contents, index blobs and sessions.

Source: kopia v0.23.1 ``repo/encryption``, ``internal/crypto/key_derivation.go``.

====== ================================================================
bytes  sealed item
====== ================================================================
12     random nonce
n      ciphertext, as long as the plaintext
16     authentication tag over the ciphertext and the item's ``iv``
====== ================================================================

Each item has a key of its own: HMAC-SHA256 of its ``iv`` under a key derived from the master key.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import aead
from cryptography.hazmat.primitives.kdf import hkdf

from velero_py_plugin.kopia import errors

NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
OVERHEAD: Final = NONCE_SIZE + TAG_SIZE
IV_SIZE: Final = 16
DEFAULT_ENCRYPTION: Final = "AES256-GCM-HMAC-SHA256"

_CIPHERS: dict[str, type[aead.AESGCM] | type[aead.ChaCha20Poly1305]] = {
    "AES256-GCM-HMAC-SHA256": aead.AESGCM,
    "CHACHA20-POLY1305-HMAC-SHA256": aead.ChaCha20Poly1305,
}


def derive_key(key: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869); ``purpose`` is its info string."""
    return hkdf.HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=purpose).derive(key)


class Encryptor:
    """Seals and opens items; safe to use from many threads.

    Args:
        algorithm: Name such as ``AES256-GCM-HMAC-SHA256``.
        master_key: The repository's master key.

    Raises:
        UnsupportedFormatError: The algorithm is not known.
    """

    def __init__(self, algorithm: str, master_key: bytes) -> None:
        cipher = _CIPHERS.get(algorithm)
        if cipher is None:
            raise errors.UnsupportedFormatError(
                f"the repository uses the encryption {algorithm!r}, which is not supported"
            )
        self._cipher = cipher
        # "encryption" is the salt here and the info string is empty: the one place where kopia has them that way.
        self._key = derive_key(master_key, b"encryption", b"", 32)

    def seal(self, plaintext: bytes | bytearray | memoryview, iv: bytes) -> bytes:
        """Encrypts; the nonce is random, so equal items seal to different bytes."""
        nonce = os.urandom(NONCE_SIZE)
        return nonce + self._cipher(hmac.digest(self._key, iv, "sha256")).encrypt(nonce, plaintext, iv)

    def open(self, sealed: bytes | memoryview, iv: bytes) -> bytes:
        """Decrypts.

        Raises:
            CorruptRepositoryError: The bytes are not what was sealed, or the key or ``iv`` is another.
        """
        if len(sealed) < OVERHEAD:
            raise errors.CorruptRepositoryError(f"a sealed item of {len(sealed)} bytes is too short")
        key = hmac.digest(self._key, iv, "sha256")
        try:
            return self._cipher(key).decrypt(bytes(sealed[:NONCE_SIZE]), sealed[NONCE_SIZE:], iv)
        except exceptions.InvalidTag:
            raise errors.CorruptRepositoryError(
                "a sealed item fails its authentication: its bytes were changed"
            ) from None
