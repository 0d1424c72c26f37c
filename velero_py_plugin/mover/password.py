"""Reads the repository password from the file it is mounted as."""

from __future__ import annotations

from velero_py_plugin import errors


def read_password(path: str) -> str:
    """Reads a password file; white space around the password is dropped, as Velero does (velero v1.18.1 ``keys.go``).

    Raises:
        UsageError: The file cannot be read or is empty.
    """
    try:
        with open(path, encoding="utf-8") as file:
            password = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise errors.UsageError(f"the password file {path!r} cannot be read: {reason}") from error
    if not password:
        raise errors.UsageError(f"the password file {path!r} is empty")
    return password
