"""The command line in this process, and a repository for it to work with."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from velero_py_plugin import cli

PASSWORD = "static-passw0rd"


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Reads what a command printed for programs."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def lines(self) -> list[dict[str, Any]]:
        """Reads what a mover printed."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Gives signals back to pytest; a mover's process keeps them to its end."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.fixture
def velero_py(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs ``velero-py`` with some arguments."""

    def run(*arguments: str | Path) -> Result:
        capsysbinary.readouterr()
        with _own_signals(), pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        code = exited.value.code
        return Result(code if isinstance(code, int) else 0, out.decode(errors="surrogateescape"), err.decode())

    return run


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f" {PASSWORD}\n")  # Velero drops the white space, and so does everybody here
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the repository is to be."""
    return f"file://{tmp_path}/repository"


@pytest.fixture
def repo(velero_py: Run, url: str, password_file: Path) -> Run:
    """Runs ``velero-py repo`` on a repository that exists."""

    def run(*arguments: str | Path) -> Result:
        return velero_py("repo", "--repository", url, "--password-file", password_file, *arguments)

    created = run("create")
    assert created.code == 0, created.err
    return run


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A small folder to back up."""
    path = tmp_path / "volume"
    (path / "below").mkdir(parents=True)
    (path / "file").write_bytes(b"data\n")
    (path / "below" / "deep").write_bytes(b"deep\n")
    (path / "link").symlink_to("file")
    return path
