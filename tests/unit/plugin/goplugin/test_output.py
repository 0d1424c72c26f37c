from __future__ import annotations

import os
import queue
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from velero_py_plugin.plugin.goplugin.output import MAX_LINE_BYTES, OutputGuard


class Guarded:
    """A guard over two files that stand in for standard output and standard error."""

    def __init__(self, directory: Path) -> None:
        self.stdout_path, self.stderr_path = directory / "stdout", directory / "stderr"
        self.stdout_fd = os.open(self.stdout_path, os.O_WRONLY | os.O_CREAT)
        self.stderr_fd = os.open(self.stderr_path, os.O_WRONLY | os.O_CREAT)
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.guard = OutputGuard(stdout_fd=self.stdout_fd, stderr_fd=self.stderr_fd)
        self.guard.forward(self.lines.put)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path)
    yield guarded
    os.close(guarded.stdout_fd)
    os.close(guarded.stderr_fd)


def test_what_is_printed_becomes_lines_and_stays_out_of_the_pipes(guarded: Guarded) -> None:
    os.write(guarded.stdout_fd, b"one\n\ntwo")
    os.write(guarded.stderr_fd, b" and a half\nbytes \xff\n")
    assert [guarded.lines.get(timeout=5) for _ in range(3)] == ["one", "two and a half", "bytes \ufffd"]
    guarded.guard.restore()
    assert guarded.stdout_path.read_bytes() == b""
    assert guarded.stderr_path.read_bytes() == b""


def test_a_subprocess_s_output_becomes_lines(guarded: Guarded) -> None:
    subprocess.run(["sh", "-c", "echo hello"], stdout=guarded.stdout_fd, check=True)
    assert guarded.lines.get(timeout=5) == "hello"
    guarded.guard.restore()


def test_handshake_and_log_reach_the_originals(guarded: Guarded) -> None:
    guarded.guard.announce(b"1|2|unix|/s|grpc\n")
    os.write(guarded.guard.log_fd, b"{}\n")
    guarded.guard.restore()
    assert guarded.stdout_path.read_bytes() == b"1|2|unix|/s|grpc\n"
    assert guarded.stderr_path.read_bytes() == b"{}\n"


def test_subprocesses_do_not_inherit_the_originals(guarded: Guarded) -> None:
    program = "readlink /proc/self/fd/*"
    ran = subprocess.run(["sh", "-c", program], close_fds=False, capture_output=True, text=True, check=False)
    assert "pipe:" in ran.stdout
    assert str(guarded.stdout_path) not in ran.stdout
    assert str(guarded.stderr_path) not in ran.stdout
    guarded.guard.restore()


def test_the_last_words_are_passed_on_before_the_end(guarded: Guarded) -> None:
    os.write(guarded.stderr_fd, b"no newline")
    guarded.guard.restore()
    assert guarded.lines.get_nowait() == "no newline"
    os.write(guarded.stderr_fd, b"given back")
    assert guarded.stderr_path.read_bytes() == b"given back"


def test_an_endless_line_comes_in_pieces(guarded: Guarded) -> None:
    os.write(guarded.stdout_fd, b"x" * (MAX_LINE_BYTES + 1) + b"\n")
    assert [len(guarded.lines.get(timeout=5)) for _ in range(2)] == [MAX_LINE_BYTES, 1]
    guarded.guard.restore()
