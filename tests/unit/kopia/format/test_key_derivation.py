"""Known answers: cross-checked with kopia v0.23.1 ``internal/crypto`` by running it."""

from __future__ import annotations

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.format import key_derivation

UNIQUE_ID = bytes(range(32))
KEY = bytes.fromhex("0edffcc3712937f24b8dd944ace79323404e650ab053f57c421da57ede51cb0a")


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("scrypt-65536-8-1", KEY.hex()),
        ("pbkdf2-sha256-600000", "fd56af72fb98d83925599d5a143a982ba4a2410522839c9e1e9001a23d3cd2fe"),
        # No vector of kopia's: 786432 rounds of PBKDF2-HMAC-SHA256, calculated with OpenSSL.
        ("pbkdf2", "26814d21a420aa9557449af828800ec438553db903717471837d5577c9cb7b39"),
    ],
)
def test_known_passwords(algorithm: str, key: str) -> None:
    assert key_derivation.format_key("pass", UNIQUE_ID, algorithm).hex() == key


def test_the_envelope() -> None:
    envelope = bytes.fromhex("000102030405060708090a0b8b570c8f826877d252fe78bd7daf218f9eb3")
    assert key_derivation.open_envelope(envelope, KEY, UNIQUE_ID) == b"{}"


def test_the_keys_of_the_envelope() -> None:
    aes, checksum = key_derivation._envelope_keys(KEY, UNIQUE_ID)
    assert aes.hex() == "c9b7e8496b7bb9f73a20d1af8619a454e5eb009b57da00d533bcaa830f3bc02a"
    assert checksum.hex() == "666aea4ed842b36beb23d3f47e3c38ff9cea76ef55168a0627dbb976dcfa2ca6"


def test_what_is_sealed_opens_and_is_as_long_as_kopias() -> None:
    sealed = key_derivation.seal_envelope(b"{}", KEY, UNIQUE_ID)
    assert len(sealed) == 30  # the size of every kopia.blobcfg without retention
    assert key_derivation.open_envelope(sealed, KEY, UNIQUE_ID) == b"{}"


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(12), bytes(28), bytes(100)])
def test_what_does_not_open_is_taken_for_a_wrong_password(sealed: bytes) -> None:
    with pytest.raises(errors.WrongPasswordError, match="the password is wrong, or its format blob is damaged"):
        key_derivation.open_envelope(sealed, KEY, UNIQUE_ID)


@pytest.mark.parametrize("algorithm", ["testing-only-insecure", "", "scrypt-1024-8-1"])
def test_an_unknown_derivation_is_refused_by_name(algorithm: str) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match=repr(algorithm)):
        key_derivation.format_key("pass", UNIQUE_ID, algorithm)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="16 bytes"):
        key_derivation.format_key("pass", bytes(15), "scrypt-65536-8-1")
