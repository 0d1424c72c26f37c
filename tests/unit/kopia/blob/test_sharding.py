from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob import sharding
from velero_py_plugin.kopia.blob.sharding import Sharding

_NAMES = st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,60}", fullmatch=True)
_LENGTHS = st.lists(st.integers(0, 5), max_size=4).map(tuple)
_SHARDINGS = st.builds(
    Sharding,
    _LENGTHS,
    st.integers(0, 30),
    st.lists(st.tuples(st.sampled_from(["", "p", "q", "xn", "_log_"]), _LENGTHS), max_size=3).map(tuple),
)


@pytest.mark.parametrize(
    ("blob_id", "path"),
    [
        ("ab", "ab.f"),
        ("defaultsharded", "def/au/l/tsharded.f"),
        ("phello", "ph/el/lo.f"),
        ("xhello", "x/h/e/llo.f"),
        ("xo", "xo.f"),
    ],
)
def test_kopias_own_examples(blob_id: str, path: str) -> None:
    rules = Sharding(default=(3, 2, 1), max_non_sharded_length=2, overrides=(("p", (2, 2)), ("x", (1, 1, 1))))
    assert rules.path(blob_id) == path


@pytest.mark.parametrize(
    ("blob_id", "path"),
    [
        ("kopia.repository", "kopia.repository.f"),
        ("p677aebc3a1bcb59a3b0bb2ea9a0b0cb4-s1a", "p/677/aebc3a1bcb59a3b0bb2ea9a0b0cb4-s1a.f"),
        ("xn0_0169e251e5697f9a064ad1dbfb05c9fc", "x/n0_/0169e251e5697f9a064ad1dbfb05c9fc.f"),
        ("_log_20261121131245_a0f1", "_/log/_20261121131245_a0f1.f"),
        ("12345678901234567890", "12345678901234567890.f"),
        ("123456789012345678901", "1/234/56789012345678901.f"),
    ],
)
def test_layout_of_new_repositories(blob_id: str, path: str) -> None:
    assert Sharding().path(blob_id) == path


def test_layout_of_repositories_without_parameters() -> None:
    assert sharding.LEGACY.path("p677aebc3a1bcb59a3b0bb2ea9a0b0cb4") == "p67/7ae/bc3a1bcb59a3b0bb2ea9a0b0cb4.f"


def test_a_name_never_becomes_empty() -> None:
    assert Sharding((1, 3), 0).path("abcd") == "a/bcd.f"
    assert Sharding((1, 3), 0).path("abcde") == "a/bcd/e.f"
    assert Sharding((4,), 0).path("abcd") == "abcd.f"


def test_the_first_override_wins() -> None:
    rules = Sharding((1,), 0, (("p", (2,)), ("pq", (3,))))
    assert rules.path("pqrstuv") == "pq/rstuv.f"


def test_parameters_are_written_as_kopia_writes_them() -> None:
    assert Sharding().to_json() == b'{"default":[1,3],"maxNonShardedLength":20}\n'
    with_overrides = Sharding((1, 3), 20, (("p", (2, 2)),))
    assert with_overrides.to_json() == (
        b'{"default":[1,3],"maxNonShardedLength":20,"overrides":[{"prefix":"p","shards":[2,2]}]}\n'
    )


@given(_SHARDINGS)
def test_parameters_round_trip(rules: Sharding) -> None:
    assert Sharding.parse(rules.to_json()) == rules


@given(_SHARDINGS, _NAMES)
def test_the_name_is_the_path_without_separators_and_suffix(rules: Sharding, name: str) -> None:
    assert rules.path(name).replace("/", "").removesuffix(".f") == name


@given(_SHARDINGS, _NAMES, st.integers(0, 60))
def test_a_listing_descends_into_the_folders_of_every_match(rules: Sharding, name: str, length: int) -> None:
    prefix = name[:length]
    folder = ""
    for part in rules.path(name).split("/")[:-1]:
        folder += part
        assert sharding.shows(folder, prefix)


def test_a_listing_passes_other_folders_by() -> None:
    assert not sharding.shows("p67", "q")
    assert not sharding.shows("xn0", "xn1")
    assert sharding.shows("x", "xn1")
    assert sharding.shows("xn1_a", "xn1")


@pytest.mark.parametrize("default", [None, []])
def test_no_default_means_no_folders(default: Any) -> None:
    rules = Sharding.parse(json.dumps({"default": default, "maxNonShardedLength": 0}).encode())
    assert rules.path("abcdefgh") == "abcdefgh.f"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"default":3}',
        b'{"default":["1"]}',
        b'{"default":[true]}',
        b'{"default":[-1]}',
        b'{"default":[1],"maxNonShardedLength":"20"}',
        b'{"default":[1],"maxNonShardedLength":-1}',
        b'{"default":[1],"overrides":{}}',
        b'{"default":[1],"overrides":["p"]}',
        b'{"default":[1],"overrides":[{"shards":[1]}]}',
        b'{"default":[1],"overrides":[{"prefix":"p","shards":[1.5]}]}',
        b"[" * 100_000,
    ],
)
def test_damaged_parameters(text: bytes) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match=r"\.shards"):
        Sharding.parse(text)


@given(st.binary(max_size=200))
def test_any_bytes_give_parameters_or_the_one_error(text: bytes) -> None:
    with contextlib.suppress(errors.CorruptRepositoryError):
        Sharding.parse(text)
