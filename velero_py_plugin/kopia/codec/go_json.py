"""JSON exactly as Go's ``encoding/json`` writes it.

Deduplication with kopia needs equal bytes: a directory that did not change must hash to the same content id whoever
wrote it. Rules beyond ordinary compact JSON: ``<``, ``>``, ``&``, U+2028 and U+2029 are escaped, control characters use
lower-case hexadecimal, every byte of a file name that is not UTF-8 becomes an escaped U+FFFD, and times drop trailing
zeros. Source: kopia-written directories of v0.16.0 and v0.23.1 (built with Go >= 1.22), compared byte by byte.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any, Final

import orjson

from velero_py_plugin.kopia import errors

_ESCAPES: Final = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}
_TO_ESCAPE: Final = re.compile(b"|".join(_ESCAPES))
# What os.fsdecode leaves for a byte that is not UTF-8; orjson refuses it.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> bytes:
    """Writes a value; mapping order is the caller's, as Go's struct order is its author's."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        text = _SURROGATE.sub(r"\\ufffd", plain).encode()
    return _TO_ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)


def loads(data: bytes, what: str) -> Any:
    """Reads JSON.

    Args:
        data: The text.
        what: Names the thing read, for the message.

    Raises:
        CorruptRepositoryError: It is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise errors.CorruptRepositoryError(f"{what} is not valid JSON: {error}") from error


_SECONDS_PER_DAY: Final = 86400
_EPOCH_ORDINAL: Final = datetime.date(1970, 1, 1).toordinal()
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII
)


#: The earliest and latest time that text of four-digit years can hold, nanoseconds since 1970.
MIN_TIME: Final = (datetime.date.min.toordinal() - _EPOCH_ORDINAL) * _SECONDS_PER_DAY * 1_000_000_000
MAX_TIME: Final = (datetime.date.max.toordinal() + 1 - _EPOCH_ORDINAL) * _SECONDS_PER_DAY * 1_000_000_000 - 1


def format_time(nanoseconds: int) -> str:
    """Writes a time as Go does: RFC 3339, UTC, up to nine fractional digits without trailing zeros.

    Args:
        nanoseconds: Since 1970-01-01T00:00:00Z, from ``MIN_TIME`` to ``MAX_TIME``.
    """
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    days, rest = divmod(seconds, _SECONDS_PER_DAY)
    date = datetime.date.fromordinal(_EPOCH_ORDINAL + days)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{date.isoformat()}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}{digits}Z"


def parse_time(text: object) -> int:
    """Reads a time with any offset and up to nine fractional digits.

    Returns:
        Nanoseconds since 1970-01-01T00:00:00Z.

    Raises:
        CorruptRepositoryError: It is not such a time.
    """
    match = _TIME.match(text) if isinstance(text, str) else None
    if match is None:
        raise errors.CorruptRepositoryError(f"{str(text)[:60]!r} is not a time")
    try:
        days = datetime.date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH_ORDINAL
    except ValueError as error:
        raise errors.CorruptRepositoryError(f"{match[0]!r} is not a time: {error}") from error
    seconds = days * _SECONDS_PER_DAY + int(match[4]) * 3600 + int(match[5]) * 60 + int(match[6])
    if match[8]:
        offset = int(match[9]) * 3600 + int(match[10]) * 60
        seconds += -offset if match[8] == "+" else offset
    return seconds * 1_000_000_000 + int((match[7] or "").ljust(9, "0"))
