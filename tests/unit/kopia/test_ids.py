from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors, ids

DIGEST = "8cad46c40c82e5eb8b6122d413e8a784"


@pytest.mark.parametrize(
    ("content_id", "key"),
    [
        (DIGEST, "008cad46c40c82e5eb8b6122d413e8a784"),
        ("k67d102b539e87f5bebb4503c87ebc993", "6b67d102b539e87f5bebb4503c87ebc993"),
        ("g" + DIGEST * 2, "67" + DIGEST * 2),
        ("z00", "7a00"),
    ],
)
def test_a_content_id_and_its_index_key_are_two_forms_of_one(content_id: str, key: str) -> None:
    assert ids.content_key(content_id) == bytes.fromhex(key)
    assert ids.content_id_of_key(bytes.fromhex(key)) == content_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k",
        "f" + DIGEST,  # prefixes begin at g
        "K" + DIGEST,
        "kk" + DIGEST,
        DIGEST[:-1],
        DIGEST.upper(),
        DIGEST + "\n",
        " " + DIGEST,
        DIGEST * 2 + "00",  # longer than any hash
        "../" + DIGEST,
    ],
)
def test_other_text_is_no_content_id(text: str) -> None:
    with pytest.raises(errors.CorruptRepositoryError):
        ids.content_key(text)


def test_order_of_keys_is_unprefixed_first_then_by_prefix() -> None:
    mixed = ["x" + DIGEST, "g" + DIGEST, DIGEST, "m" + DIGEST, "k" + DIGEST]
    assert [content_id[0] for content_id in sorted(mixed, key=ids.content_key)] == ["8", "g", "k", "m", "x"]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (DIGEST, ids.ObjectID(DIGEST)),
        ("k" + DIGEST, ids.ObjectID("k" + DIGEST)),
        ("Ix" + DIGEST, ids.ObjectID("x" + DIGEST, 1)),
        ("IIk" + DIGEST, ids.ObjectID("k" + DIGEST, 2)),
        ("Z" + DIGEST, ids.ObjectID(DIGEST, compressed=True)),
    ],
)
def test_object_ids(text: str, parsed: ids.ObjectID) -> None:
    assert ids.ObjectID.parse(text) == parsed
    assert str(parsed) == text


def test_the_old_direct_mark_is_read_and_not_written() -> None:
    # kopia v0.23.1 repo/object/objectid.go: "D" is accepted and dropped.
    assert str(ids.ObjectID.parse("D" + DIGEST)) == DIGEST


@pytest.mark.parametrize("text", ["", "I", "IZ" + DIGEST, "ZI" + DIGEST, "DI" + DIGEST, "Q" + DIGEST, DIGEST + "\n"])
def test_other_text_is_no_object_id(text: str) -> None:
    with pytest.raises(errors.CorruptRepositoryError):
        ids.ObjectID.parse(text)


@given(st.text(max_size=80))
def test_any_text_is_an_object_id_or_refused(text: str) -> None:
    try:
        parsed = ids.ObjectID.parse(text)
    except errors.CorruptRepositoryError:
        return
    assert ids.ObjectID.parse(str(parsed)) == parsed


def test_session_ids_count_periods_of_thirty_days_since_2000() -> None:
    # kopia-format.md 1.1: a real session of November 2026 ends in 147.
    session_id = ids.new_session_id(datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC))
    assert re.fullmatch("s[0-9a-f]{16}147", session_id)
    assert session_id != ids.new_session_id(datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC))


def test_pack_names_tell_file_data_from_everything_else() -> None:
    assert re.fullmatch("p[0-9a-f]{32}-s0011147", ids.new_pack_blob_id("", "s0011147"))
    assert re.fullmatch("q[0-9a-f]{32}-s0011147", ids.new_pack_blob_id("k", "s0011147"))


def test_manifest_ids_are_random() -> None:
    assert re.fullmatch("[0-9a-f]{32}", ids.new_manifest_id())
    assert ids.new_manifest_id() != ids.new_manifest_id()
