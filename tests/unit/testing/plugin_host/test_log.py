from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin.testing.plugin_host.log import LINE_BUFFER_BYTES, LogLine, LogReader


def read(data: bytes) -> list[LogLine]:
    """Reads as the host does: line by line, at most a buffer at once."""
    reader = LogReader()
    stream = io.BytesIO(data)
    return [reader.read(chunk) for chunk in iter(lambda: stream.readline(LINE_BUFFER_BYTES), b"")]


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (b'{"@level":"info","@message":"hello"}', "info", "hello"),
        (b'{"@level":"WARN","@message":"hello"}', "warn", "hello"),
        (b'{"@level":"trace","@message":"hello"}', "debug", "hello"),
        (b'{"@level":" Error ","@message":"hello"}', "error", "hello"),
        (b'{"@level":"info"}', "info", ""),
        (b'{"@level":"info","@message":"x","@timestamp":"2026-01-02T03:04:05.000006Z"}', "info", "x"),
        (b'{"@level":"info","@message":"x","@timestamp":"2026-01-02T03:04:05.000006+02:00"}', "info", "x"),
    ],
)
def test_structured_lines(line: bytes, level: str, message: str) -> None:
    (seen,) = read(line + b"\n")
    assert (seen.level, seen.message, seen.structured) == (level, message, True)
    assert (seen.fatal, seen.fatal_during_backup) == ("", "")


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (b"plain text", "debug"),
        (b"[ERROR] plain text", "error"),
        (b"[WARN] plain text", "warn"),
        (b"[INFO]", "info"),
        (b"[TRACE] x", "debug"),
        (b" [ERROR] not at the beginning", "debug"),
        (b"[1, 2]", "debug"),
        (b"null", "debug"),
        (b"panic: oh no", "error"),
        (b"fatal error: out of memory", "error"),
        (b'{"@level":"warning","@message":"hello"}', "debug"),
        (b'{"@level":"critical","@message":"hello"}', "debug"),
        (b'{"@level":"","@message":"hello"}', "debug"),
        (b'{"@message":"no level"}', "debug"),
        (b'{"@level":"info","@message":"x","ratio":NaN}', "debug"),
        (b'{"@level":"info","@message":"x","@timestamp":"2026-01-02T03:04:05Z"}', "debug"),
        (b'{"@level":"info","@message":"x"', "debug"),
        (b'{"@level":"info","@message":"a tab\t"}', "debug"),
    ],
)
def test_lines_that_are_shown_whole(line: bytes, level: str) -> None:
    (seen,) = read(line + b"\n")
    assert (seen.level, seen.message, seen.structured) == (level, line.decode(), False)
    assert (seen.fatal, seen.fatal_during_backup) == ("", "")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"@message":1,"@level":"info"}', "@message"),
        (b'{"@message":null}', "@message"),
        (b'{"@message":"x","@level":5}', "@level"),
        (b'{"@message":"x","@level":"info","@timestamp":{}}', "@timestamp"),
    ],
)
def test_lines_that_kill_velero(line: bytes, key: str) -> None:
    assert read(line + b"\n")[0].fatal == f"{key} is not a string"


@pytest.mark.parametrize("key", ["name", "namespace", "resource"])
@pytest.mark.parametrize("value", [b"5", b"null", b"true", b"{}"])
def test_lines_that_kill_velero_during_a_backup(key: str, value: bytes) -> None:
    (seen,) = read(b'{"@level":"info","@message":"x","%s":%s}\n' % (key.encode(), value))
    assert seen.fatal == ""
    assert seen.fatal_during_backup == f"{key} is not a string"


def test_fields_that_velero_drops_and_keeps() -> None:
    members = '"time":"t","timestamp":"t","level":"x","a":1,"logSource":"x.py:1"'
    unmarked, marked = read(
        f'{{"@level":"info","@message":"m",{members}}}\n'
        f'{{"@level":"info","@message":"m","@logSourceSetBy":"plugin",{members}}}\n'.encode()
    )
    assert unmarked.fields == {"a": 1}
    assert marked.fields == {"a": 1, "logSource": "x.py:1"}


def test_a_long_line_comes_as_raw_pieces_even_if_it_is_json() -> None:
    line = b'{"@level":"error","@message":"' + b"y" * LINE_BUFFER_BYTES + b'"}\n'
    lines = read(line + b'{"@level":"info","@message":"next"}\n')
    assert [(seen.level, seen.structured) for seen in lines] == [("debug", False), ("debug", False), ("info", True)]
    assert "".join(seen.message for seen in lines[:2]) == line.decode().rstrip("\n")


def test_a_line_that_just_fits() -> None:
    text = "y" * (LINE_BUFFER_BYTES - len('{"@level":"info","@message":""}\n'))
    (seen,) = read(f'{{"@level":"info","@message":"{text}"}}\n'.encode())
    assert seen.message == text


def test_after_a_crash_of_the_plugin_untagged_lines_are_errors() -> None:
    lines = read(b"before\npanic: oh no\ngoroutine 1:\n[INFO] tagged\n" + b'{"@level":"info"}\n')
    assert [seen.level for seen in lines] == ["debug", "error", "error", "info", "info"]


def test_the_last_line_needs_no_newline() -> None:
    assert [seen.message for seen in read(b"one\r\ntwo")] == ["one", "two"]


@given(st.binary())
def test_no_output_is_an_error_here(data: bytes) -> None:
    assert all(seen.level in ("debug", "info", "warn", "error") for seen in read(data))
