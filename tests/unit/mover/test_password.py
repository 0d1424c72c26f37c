from __future__ import annotations

from pathlib import Path

import pytest

from velero_py_plugin import errors
from velero_py_plugin.mover.password import read_password


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("static-passw0rd", "static-passw0rd"),
        (" \tpassword \r\n", "password"),
        ("two words\n", "two words"),
        ("\u00a0p\u00e4ss\u2003", "p\u00e4ss"),
    ],
)
def test_white_space_around_a_password_is_not_part_of_it(tmp_path: Path, text: str, password: str) -> None:
    (tmp_path / "password").write_text(text, encoding="utf-8")
    assert read_password(str(tmp_path / "password")) == password


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_what_is_no_password_is_said_without_showing_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(errors.UsageError, match=r"is empty|cannot be read: it is not text"):
        read_password(str(tmp_path / "password"))


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_password_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.UsageError, match=f"the password file '.*{name}' cannot be read: (No such|Is a)"):
        read_password(f"{tmp_path}/{name}")
