"""Known answers: kopia-written, cross-checked by two implementations; the algorithms of kopia v0.23.1 repo/hashing."""

from __future__ import annotations

import pytest

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import hashing

SECRET = b"01234567890123456789012345678901"
TEXT = b"quick brown fox jumps over the lazy dog"

ANSWERS = [
    (
        "BLAKE2B-256",
        "1ff6aadca63f144cf3eb7bac625a5cce878171f7cd6fa0bdccc877e3208c2627",
        "95afa46a854fda6e323183783c39befc2065174ffc2dbd014be7244fb8c56a56",
    ),
    ("BLAKE2B-256-128", "1ff6aadca63f144cf3eb7bac625a5cce", "95afa46a854fda6e323183783c39befc"),
    ("BLAKE2S-128", "38f45b49960b62c8b89085fc944726f5", "6d6ad4783611d492522dbe771721006f"),
    (
        "BLAKE2S-256",
        "e2f4118b0087fc90a4f46454ec01c32243de9ec16ee5964190f7bf919dc91827",
        "02ebf3fe162dfbe5bad205c4a17570097ad99ec4e0962ae92481088846f44698",
    ),
    (
        "HMAC-SHA224",
        "cda5e0feb8c83cc0618c99868052b4626991fef8685c69789bcef4f2",
        "45ca11c126847e7d62e879e3e0b09fef4b3e8f11f926b1d8261022b7",
    ),
    (
        "HMAC-SHA256",
        "0427d5bfaae59d1b082a98c2642c56be1e6263049269b457a57f572678ae3607",
        "a4f80b7078ae6b6984714fdea294b515939d819a909fecb912c89687e12be709",
    ),
    ("HMAC-SHA256-128", "0427d5bfaae59d1b082a98c2642c56be", "a4f80b7078ae6b6984714fdea294b515"),
    (
        "HMAC-SHA3-224",
        "3ef5b24191e6214905d358bd703522a986c18b9297488a683620f1e4",
        "166fe7bb69bf922b6fac4dda82dd08a06d4df5253fa422b256ba65e3",
    ),
    (
        "HMAC-SHA3-256",
        "7b49ba505c5351094bf8028c39a4943aa8437c8baa418bb0500a38786c3560f4",
        "0525c7ff1bfc367a1a87bf4c61ba7c3408d3bde127c0eea7c3b79c55d7be01f9",
    ),
]


@pytest.mark.parametrize(("algorithm", "empty", "text"), ANSWERS, ids=[answer[0] for answer in ANSWERS])
def test_known_answers(algorithm: str, empty: str, text: str) -> None:
    hash_of = hashing.hash_function(algorithm, SECRET)
    assert hash_of(b"").hex() == empty
    assert hash_of(TEXT).hex() == text
    assert hash_of(bytearray(TEXT)) == hash_of(memoryview(TEXT)) == bytes.fromhex(text)


def test_ids_of_known_contents() -> None:
    hash_of = hashing.hash_function(hashing.DEFAULT_HASH, bytes(range(0x40, 0x60)))
    assert hash_of(b"hello\n").hex() == "8cad46c40c82e5eb8b6122d413e8a784"
    assert hash_of(b"").hex() == "67d102b539e87f5bebb4503c87ebc993"  # every empty file


@pytest.mark.parametrize("algorithm", ["", "BLAKE3-256", "MD5", "blake2b-256"])
def test_an_unknown_hash_is_refused_by_name(algorithm: str) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match=repr(algorithm)):
        hashing.hash_function(algorithm, SECRET)
