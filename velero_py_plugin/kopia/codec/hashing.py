"""Keyed hashes that name contents.

Source: kopia v0.23.1 ``repo/hashing``. The key is the repository's HMAC secret. ``BLAKE2B-256-128`` is the first half
of a 32-byte BLAKE2b, not a BLAKE2b of 16 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from velero_py_plugin.kopia import errors

HashFunction = Callable[[bytes | bytearray | memoryview], bytes]

DEFAULT_HASH: Final = "BLAKE2B-256-128"


def hash_function(algorithm: str, secret: bytes) -> HashFunction:
    """Finds a hash function by its name in the repository format.

    Args:
        algorithm: Name such as ``BLAKE2B-256-128``.
        secret: Key, may be empty.

    Returns:
        A function from bytes to the hash; safe to call from many threads.

    Raises:
        UnsupportedFormatError: The name is not known.
    """
    match algorithm:
        case "BLAKE2B-256-128":
            return lambda data: hashlib.blake2b(data, digest_size=32, key=secret).digest()[:16]
        case "BLAKE2B-256":
            return lambda data: hashlib.blake2b(data, digest_size=32, key=secret).digest()
        case "BLAKE2S-128":
            return lambda data: hashlib.blake2s(data, digest_size=16, key=secret).digest()
        case "BLAKE2S-256":
            return lambda data: hashlib.blake2s(data, digest_size=32, key=secret).digest()
        case "HMAC-SHA256":
            return lambda data: hmac.digest(secret, data, "sha256")
        case "HMAC-SHA256-128":
            return lambda data: hmac.digest(secret, data, "sha256")[:16]
        case "HMAC-SHA224":
            return lambda data: hmac.digest(secret, data, "sha224")
        case "HMAC-SHA3-224":
            return lambda data: hmac.digest(secret, data, "sha3_224")
        case "HMAC-SHA3-256":
            return lambda data: hmac.digest(secret, data, "sha3_256")
    raise errors.UnsupportedFormatError(f"the repository uses the hash {algorithm!r}, which is not supported")
