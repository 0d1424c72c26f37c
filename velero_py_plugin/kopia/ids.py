"""Typed identifiers of the repository format and their text forms.

Sources: kopia v0.23.1 ``repo/content/index/id.go``, ``repo/object/objectid.go``, ``repo/content/sessions.go``.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import secrets
from typing import Final

from velero_py_plugin.kopia import errors

CONTENT_PREFIX_DIRECTORY: Final = "k"
CONTENT_PREFIX_INDIRECT: Final = "x"
CONTENT_PREFIX_MANIFEST: Final = "m"

_CONTENT = re.compile(r"([g-z]?)((?:[0-9a-f]{2}){1,32})\Z")
_OBJECT = re.compile(r"(I*)(Z?)D?([g-z]?(?:[0-9a-f]{2}){1,32})\Z")


def content_key(content_id: str) -> bytes:
    """Turns a content id into the key used by pack indexes: one prefix byte (0 for none) and the raw hash.

    Raises:
        CorruptRepositoryError: The text is not a content id.
    """
    match = _CONTENT.match(content_id)
    if match is None:
        raise errors.CorruptRepositoryError(f"{content_id[:80]!r} is not a content id")
    prefix, digits = match.groups()
    return (prefix.encode() or b"\0") + bytes.fromhex(digits)


def content_id_of_key(key: bytes) -> str:
    """The reverse of ``content_key``."""
    return (chr(key[0]) if key[0] else "") + key[1:].hex()


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectID:
    """Names a stream of bytes: one content, or an index of parts.

    Attributes:
        content_id: The content that holds the bytes, or the index.
        indirection: How many levels of indexes lie above the bytes; 0 means the content is the object.
        compressed: Whether the object itself carries a compression header (format version 1 only).
    """

    content_id: str
    indirection: int = 0
    compressed: bool = False

    def __str__(self) -> str:
        return "I" * self.indirection + ("Z" if self.compressed else "") + self.content_id

    @classmethod
    def parse(cls, text: str) -> ObjectID:
        """Reads the text form.

        Raises:
            CorruptRepositoryError: The text is not an object id.
        """
        match = _OBJECT.match(text)
        if match is None or (match[1] and match[2]):
            raise errors.CorruptRepositoryError(f"{text[:80]!r} is not an object id")
        return cls(match[3], len(match[1]), bool(match[2]))


_SESSION_EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_SESSION_EPOCH_LENGTH = datetime.timedelta(days=30)


def new_session_id(now: datetime.datetime) -> str:
    """Makes a session id: ``s``, 16 random hexadecimal digits, and the number of 30-day periods since 2000."""
    return f"s{secrets.token_hex(8)}{(now - _SESSION_EPOCH) // _SESSION_EPOCH_LENGTH:x}"


def new_pack_blob_id(content_prefix: str, session_id: str) -> str:
    """Makes the name of a new pack: ``q`` for contents with a prefix, ``p`` for file data."""
    return f"{'q' if content_prefix else 'p'}{secrets.token_hex(16)}-{session_id}"


def new_manifest_id() -> str:
    """Makes a manifest id, 32 random hexadecimal digits."""
    return secrets.token_hex(16)
