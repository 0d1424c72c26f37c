"""Known answers: kopia v0.23.1 ``repo/encryption/encryption_test.go``, ``internal/crypto/key_derivation_test.go``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import encryption

AES = "AES256-GCM-HMAC-SHA256"
CHACHA = "CHACHA20-POLY1305-HMAC-SHA256"
MASTER_KEY = b"01234567890123456789012345678901"
FOX = b"quick brown fox jumps over the lazy dog"


def test_hkdf() -> None:
    derived = encryption.derive_key(b"ABCDEFGHIJKLMNOP", b"0123456789012345", b"the-test-purpose", 32)
    assert derived.hex() == "828769ee8969bc37f11dbaa32838f8db6c19daa6e3ae5f5eed2da2d94d8faddb"


@pytest.mark.parametrize(
    ("algorithm", "iv", "sealed", "plaintext"),
    [
        (
            AES,
            b"aabbccddeeffgghhiijjkkllmmnnoopp",
            "e43ba07f85a6d70c5f1102ca06cf19c597e5f91e527b21f00fb76e8bec3fd1",
            b"foo",
        ),
        (
            CHACHA,
            b"aabbccddeeffgghhiijjkkllmmnnoopp",
            "118359f3d4d589d939efbbc3168ae4c77c51bcebce6845fe6ef5d11342faa6",
            b"foo",
        ),
        (
            AES,
            b"0" * 32,
            (
                "eaad755a238f1daa4052db2e5ccddd934790b6cca415b3ccfd46ac5746af33d9d30f4400ffa9eb3a64fb1ce21b888c12c043bf6787"
                "d4a5c15ad10f21f6a6027ee3afe0"
            ),
            FOX,
        ),
        (
            CHACHA,
            b"0" * 32,
            (
                "836d2ba87892711077adbdbe1452d3b2c590bbfdf6fd3387dc6810220a32ec19de862e1a4f865575e328424b5f178afac1b7eeff11"
                "494f719d119b7ebb924d1d0846a3"
            ),
            FOX,
        ),
    ],
)
def test_items_sealed_by_kopia_open(algorithm: str, iv: bytes, sealed: str, plaintext: bytes) -> None:
    assert encryption.Encryptor(algorithm, MASTER_KEY).open(bytes.fromhex(sealed), iv) == plaintext


def test_a_content_sealed_by_kopia_opens() -> None:
    encryptor = encryption.Encryptor(AES, bytes(range(0x20, 0x40)))
    sealed = bytes.fromhex("000102030405060708090a0b3e39bb5b90b8923cb7a94cf6400b36f029bcc87a8b6c")
    assert encryptor.open(memoryview(sealed), bytes.fromhex("8cad46c40c82e5eb8b6122d413e8a784")) == b"hello\n"


def test_the_maintenance_key_comes_from_the_master_key() -> None:
    key = encryption.derive_key(bytes(range(0x20, 0x40)), bytes(range(0x20)), b"maintenance schedule", 32)
    assert key.hex() == "327e5ba0d7687c8a777e26dddaccb1fc6bdcf0e21a7f753928633d8186db741f"


@given(st.sampled_from([AES, CHACHA]), st.binary(max_size=200), st.binary(min_size=16, max_size=16))
def test_what_is_sealed_opens_and_never_looks_the_same_twice(algorithm: str, plaintext: bytes, iv: bytes) -> None:
    encryptor = encryption.Encryptor(algorithm, MASTER_KEY)
    sealed = encryptor.seal(plaintext, iv)
    assert len(sealed) == len(plaintext) + encryption.OVERHEAD
    assert encryptor.open(sealed, iv) == plaintext
    assert sealed != encryptor.seal(plaintext, iv)


@given(st.binary(max_size=40), st.integers(0), st.integers(0, 7))
def test_a_changed_bit_is_noticed(plaintext: bytes, position: int, bit: int) -> None:
    encryptor = encryption.Encryptor(AES, MASTER_KEY)
    sealed = bytearray(encryptor.seal(plaintext, b"iv" * 8))
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(errors.CorruptRepositoryError, match="bytes were changed"):
        encryptor.open(bytes(sealed), b"iv" * 8)


@given(st.binary(max_size=80))
def test_garbage_does_not_open(sealed: bytes) -> None:
    with pytest.raises(errors.CorruptRepositoryError):
        encryption.Encryptor(AES, MASTER_KEY).open(sealed, b"iv" * 8)


def test_an_item_opens_only_under_its_own_iv() -> None:
    encryptor = encryption.Encryptor(AES, MASTER_KEY)
    with pytest.raises(errors.CorruptRepositoryError):
        encryptor.open(encryptor.seal(b"data", b"a" * 16), b"b" * 16)


def test_an_unknown_encryption_is_refused_by_name() -> None:
    with pytest.raises(errors.UnsupportedFormatError, match="'AES256-CTR'"):
        encryption.Encryptor("AES256-CTR", MASTER_KEY)
