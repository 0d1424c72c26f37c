from __future__ import annotations

import datetime
import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import go_json

# Go 1.26, encoding/json, Marshal of each string; see also the directories kopia wrote in tests/data.
GO_STRINGS = [
    ("", '""'),
    ('"\\/', r'"\"\\/"'),
    ("\n\r\t\b\f", r'"\n\r\t\b\f"'),
    ("\x00\x01\x0b\x1f", r'"\u0000\u0001\u000b\u001f"'),
    ("\x7f\x80é\U0001f600", '"\x7f\x80é\U0001f600"'),
    ("<&>'", r'''"\u003c\u0026\u003e'"'''),
    ("\u2027\u2028\u2029\u202a", '"\u2027\\u2028\\u2029\u202a"'),
    ("\ufffd\ufeff\uffff", '"\ufffd\ufeff\uffff"'),
]


@pytest.mark.parametrize(("text", "written"), GO_STRINGS)
def test_strings(text: str, written: str) -> None:
    assert go_json.dumps(text) == written.encode()


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b"\xff", rb'"\ufffd"'),
        (b"a\xe2\x82b", rb'"a\ufffd\ufffdb"'),
        (b"\xed\xa0\x80", rb'"\ufffd\ufffd\ufffd"'),
        (b"\xf0\x9f\x98<", rb'"\ufffd\ufffd\ufffd\u003c"'),
        ("\ufffd".encode() + b"\xfe", '"\ufffd\\ufffd"'.encode()),
    ],
)
def test_every_byte_that_is_not_utf_8_is_replaced(raw: bytes, written: bytes) -> None:
    assert go_json.dumps(os.fsdecode(raw)) == written
    assert go_json.dumps({"k": [os.fsdecode(raw), 1, None]}) == b'{"k":[' + written + b",1,null]}"
    assert go_json.dumps({os.fsdecode(raw): 0}) == b"{" + written + b":0}"


def test_members_keep_the_order_they_have() -> None:
    assert go_json.dumps({"b": None, "a": [True, False, {}], "c": 1}) == b'{"b":null,"a":[true,false,{}],"c":1}'


def _go_string(text: str) -> str:
    """A plain reading of Go's rules, character by character."""
    named = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    written = ""
    for letter in text:
        if letter in named:
            written += named[letter]
        elif letter < " " or letter in "<>&\u2028\u2029":
            written += f"\\u{ord(letter):04x}"
        elif "\ud800" <= letter <= "\udfff":
            written += "\\ufffd"
        else:
            written += letter
    return f'"{written}"'


@given(st.text(st.characters(exclude_categories=[])))
@example("\U0010fffd\U0010fffe")
@example("\U0010fffd\U0010fffe\udcff")
def test_any_string_is_written_by_the_rules(text: str) -> None:
    assert go_json.dumps([text]) == f"[{_go_string(text)}]".encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=10,
)


@given(JSON)
def test_what_is_written_reads_the_same(value: object) -> None:
    written = go_json.dumps(value)
    assert go_json.loads(written, "test") == value
    assert json.loads(written) == value


@given(st.binary(max_size=60))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'"\\ud800"')
@example(b"1e999")
@example(b"NaN")
def test_reading_garbage_raises_only_the_documented_error(data: bytes) -> None:
    try:
        go_json.loads(data, "the test")
    except errors.CorruptRepositoryError as error:
        assert "the test is not valid JSON" in str(error)  # noqa: PT017 (other outcomes are fine)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (100_000_000, "1970-01-01T00:00:00.1Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-1_000_000_000, "1969-12-31T23:59:59Z"),
        (1_795_229_926_014_197_178, "2026-11-21T02:58:46.014197178Z"),
        # Go's zero time as an int64 of nanoseconds, which Velero stores for block volumes.
        (-6_795_364_578_871_345_152, "1754-08-30T22:43:41.128654848Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (-(2**63), "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_times(nanoseconds: int, text: str) -> None:
    assert go_json.format_time(nanoseconds) == text
    assert go_json.parse_time(text) == nanoseconds


@given(st.integers(-(2**63), 2**63 - 1))
def test_times_of_64_bits_read_back(nanoseconds: int) -> None:
    text = go_json.format_time(nanoseconds)
    assert go_json.parse_time(text) == nanoseconds
    assert not text.split(".")[-1].endswith("0Z") or "." not in text


@given(
    st.datetimes(
        datetime.datetime(2, 1, 1),
        datetime.datetime(9998, 12, 31),
        timezones=st.integers(-24 * 60 + 1, 24 * 60 - 1).map(
            lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
        ),
    )
)
def test_times_with_an_offset(moment: datetime.datetime) -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert go_json.parse_time(moment.isoformat()) == (moment - epoch) // datetime.timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T02:58:46",
        "2026-11-21 02:58:46Z",
        "2026-11-21T02:58:46.0141971781Z",
        "2026-11-21T02:58:46.Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T00:60:00Z",
        "2026-11-21T00:00:61Z",
        "2026-11-21T00:00:00Z\n",
        "٢026-11-21T00:00:00Z",
        "0000-01-01T00:00:00Z",
        None,
        5,
        ["2026"],
    ],
)
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="is not a time"):
        go_json.parse_time(text)
