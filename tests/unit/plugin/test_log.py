from __future__ import annotations

import json
import logging
import os
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velero_py_plugin.plugin.log import CLIPPED, MAX_LINE_BYTES, JSONHandler, LogStream, log_line, send_everything_to
from velero_py_plugin.testing.plugin_host import LogReader


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")


TEXT = st.text(st.characters(codec=None))  # lone surrogates and control characters included
VALUES = (
    TEXT
    | st.none()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.dictionaries(TEXT, st.integers())
    | st.builds(Hostile)
    | st.sampled_from(["x" * 200_000, "\x00" * 200_000, "\U0001f600" * 200_000, '"\\\n' * 70_000])
)
NAMES = TEXT | st.sampled_from(["name", "namespace", "resource", "@message", "@level", "@timestamp", "time", "level"])


@settings(deadline=None)  # some of the values are large
@given(st.sampled_from(["debug", "info", "warn", "error"]), VALUES, VALUES, st.dictionaries(NAMES, VALUES))
def test_every_line_is_one_velero_understands(
    level: str, message: object, source: object, fields: dict[str, object]
) -> None:
    line = log_line(level, message, str(source) if not isinstance(source, Hostile) else "", fields)
    assert len(line) <= MAX_LINE_BYTES
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    members = json.loads(line)
    assert all(isinstance(value, str) for value in members.values())
    seen = LogReader().read(line)
    assert seen.structured
    assert seen.level == level
    assert (seen.fatal, seen.fatal_during_backup) == ("", "")


def test_a_plain_line_byte_for_byte() -> None:
    assert log_line("info", "hello", "a.py:1", {"namespace": "shop", "count": 5}) == (
        b'{"@level":"info","@message":"hello","@logSourceSetBy":"plugin","logSource":"a.py:1",'
        b'"namespace":"shop","count":"5"}\n'
    )


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", "\ud800"])
def test_long_values_are_clipped_between_characters(character: str) -> None:
    members = json.loads(log_line("info", character * 200_000, "a.py:1", {"detail": character * 200_000}))
    for value in (members["@message"], members["detail"]):
        assert value.endswith(CLIPPED)
        assert set(value.removesuffix(CLIPPED)) == {character}
        assert len(json.dumps(value)) > 4000


def test_what_does_not_fit_is_left_out() -> None:
    line = log_line("info", "m", "s", {str(number): "x" * 15_000 for number in range(6)})
    assert {"0", "1", "2"} <= json.loads(line).keys()
    assert "5" not in json.loads(line)


@pytest.mark.parametrize("name", ["cmd", "pluginName", "msg", "time", "timestamp", "level", "logSource", "@level"])
def test_names_that_velero_s_log_uses_itself_are_moved_aside(name: str) -> None:
    members = json.loads(log_line("info", "m", "a.py:1", {name: "mine"}))
    assert members[f"fields.{name}"] == "mine"
    assert members["logSource"] == "a.py:1"


class Said:
    """What was written to a log stream, as Velero reads it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in os.read(self._fd, 1 << 20).splitlines()]

    def line(self) -> dict[str, Any]:
        (line,) = self.lines()
        return line


@pytest.fixture
def said() -> Iterator[Said]:
    """Sends everything this process says to a pipe, at info level, and puts all hooks back."""
    root = logging.getLogger()
    kept = (list(root.handlers), root.level)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    read_fd, write_fd = os.pipe()
    send_everything_to(LogStream(write_fd), logging.INFO)
    yield Said(read_fd)
    root.handlers, root.level = kept
    sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.parametrize(
    ("number", "level"),
    [(logging.INFO, "info"), (logging.WARNING, "warn"), (logging.ERROR, "error"), (logging.CRITICAL, "error")],
)
def test_levels(said: Said, number: int, level: str) -> None:
    logging.getLogger("a.b").log(number, "found %d of %s", 2, "three", extra={"namespace": None})
    line = said.line()
    assert line["@level"] == level
    assert line["@message"] == "found 2 of three"
    assert line["namespace"] == "None"
    assert line["logSource"].startswith(f"{__file__}:")
    assert line["@logSourceSetBy"] == "plugin"


def test_below_the_level_nothing_is_written(said: Said) -> None:
    logging.getLogger("a.b").debug("details")
    logging.getLogger("a.b").info("news")
    assert said.line()["@message"] == "news"


def test_wrong_arguments_lose_nothing() -> None:
    read_fd, write_fd = os.pipe()
    record = logging.makeLogRecord({"msg": "one %d", "args": ("x",), "levelno": logging.INFO})
    JSONHandler(LogStream(write_fd)).handle(record)
    os.close(write_fd)
    with open(read_fd, "rb") as pipe:
        line = json.loads(pipe.read())
    assert line["@message"].startswith("one %d (its arguments do not fit:")


def test_an_exception_comes_with_its_place(said: Said) -> None:
    try:
        raise ValueError("wrong\nvalue")
    except ValueError:
        logging.getLogger("a.b").exception("failed")
    line = said.line()
    assert line["error"] == "wrong\nvalue"
    assert line["error.file"].startswith(f"{__file__}:")
    assert line["error.function"] == "test_an_exception_comes_with_its_place"
    assert line["traceback"].endswith("ValueError: wrong\nvalue\n")


def test_an_exception_without_text_or_place_has_a_name(said: Said) -> None:
    logging.getLogger("a.b").error("failed", exc_info=TimeoutError())
    line = said.line()
    assert line["error"] == "TimeoutError"
    assert "error.file" not in line


def test_what_nobody_catches_is_an_error_line(said: Said) -> None:
    error = RuntimeError("late")
    sys.excepthook(RuntimeError, error, None)
    threading.excepthook(threading.ExceptHookArgs((RuntimeError, error, None, None)))
    arguments = types.SimpleNamespace(
        err_msg=None, exc_value=error, exc_type=RuntimeError, exc_traceback=None, object=1
    )
    sys.unraisablehook(arguments)
    lines = said.lines()
    assert [line["@level"] for line in lines] == ["error"] * 3
    assert {line["error"] for line in lines} == {"late"}


def test_a_thread_s_exception_names_the_thread(said: Said) -> None:
    def fail() -> None:
        raise RuntimeError("in a thread")

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    line = said.line()
    assert (line["@level"], line["error"]) == ("error", "in a thread")
    assert "worker" in line["@message"]


def test_python_s_warnings_do_not_count_as_the_backup_s(said: Said) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        showwarning = warnings.showwarning
        showwarning("old way", DeprecationWarning, "a.py", 7)
    line = said.line()
    assert (line["@level"], line["@message"], line["logSource"]) == ("info", "old way", "a.py:7")
    assert line["category"] == "DeprecationWarning"


def test_lines_from_many_threads_stay_whole() -> None:
    read_fd, write_fd = os.pipe()
    stream = LogStream(write_fd)
    received: list[bytes] = []

    def read() -> None:
        with open(read_fd, "rb") as pipe:
            received.extend(pipe)

    def write(name: str) -> None:
        for _ in range(20):
            stream.write("info", name * 15_000, "a.py:1", {})

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(name,)) for name in "abcdefgh"]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    os.close(write_fd)
    reader.join()
    messages = [json.loads(line)["@message"] for line in received]
    assert sorted(messages) == sorted(name * 15_000 for name in "abcdefgh" for _ in range(20))


def test_a_host_that_is_gone_is_no_error() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    LogStream(write_fd).write("info", "anybody there?", "a.py:1", {})
    os.close(write_fd)
