"""The Unix socket a plugin listens on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import ClassVar, Final

from velero_py_plugin import errors

MAX_PATH_BYTES: Final = 107
"""Linux: ``sun_path`` holds 108 bytes, the last of them zero (``unix(7)``)."""


class SocketPathTooLongError(errors.PermanentError):
    """The temporary directory's name leaves no room for a socket in it."""

    reason: ClassVar[str] = "SocketPathTooLong"


@contextlib.contextmanager
def socket_path() -> Iterator[str]:
    """A path to bind a Unix socket to, removed together with the socket at the end.

    The socket lies in a directory of its own that only this user may enter, below ``PLUGIN_UNIX_SOCKET_DIR``, which
    some hosts set, or else ``TMPDIR``, or else ``/tmp``. Nobody removes it before: a host connects again when its
    connection was idle for long.

    Raises:
        SocketPathTooLongError: See ``MAX_PATH_BYTES``.
        OSError: The directory cannot be written to.
    """
    parent = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - see below
    directory = os.path.join(parent, f"plugin{os.urandom(8).hex()}")
    os.mkdir(directory, 0o700)  # fails when the name exists; the tempfile module takes 4 ms of every start to load
    path = os.path.join(directory, "socket")
    try:
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise SocketPathTooLongError(
                f"the socket path {path} is longer than {MAX_PATH_BYTES} bytes: set TMPDIR to a shorter directory"
            )
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.rmdir(directory)
