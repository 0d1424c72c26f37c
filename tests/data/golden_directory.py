"""A folder whose stored form shows how kopia writes names, modes, owners and times, and that form as kopia wrote it.

``golden-directory-0.16.0.json`` and ``golden-directory-0.23.1.json`` are the directory objects that the two versions of
kopia (built with Go 1.26) stored for it, byte for byte; ``tests/interop/kopia/test_byte_identity.py`` makes them again.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Final

_ORDINARY: Final = 1_700_000_000_123_456_789


@dataclasses.dataclass(frozen=True)
class File:
    """One empty file."""

    name: bytes
    mode: int = 0o644
    mtime: int = _ORDINARY
    uid: int = 0
    gid: int = 0


_NAMES: Final = [
    *(b"byte" + bytes([byte]) for byte in range(1, 256) if byte != ord("/")),
    *(f"code-point-{ord(letter):x}-{letter}".encode() for letter in "\x7f\x80\x85\xa0é\u2027\u2028\u2029\u202a\u200b"),
    *(f"code-point-{number:x}-{chr(number)}".encode() for number in (0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF)),
    *(f"code-point-{number:x}-{chr(number)}".encode() for number in (0x10000, 0x1F600, 0x10FFFD, 0x10FFFE, 0x10FFFF)),
    "nfc-\u00e9".encode(),
    "nfd-e\u0301".encode(),
    b'markup <a href="x">&amp;\'<br>',
    b"back\\slash",
    b"longest-" + b"x" * 247,
    b"overlong-\xc0\x80",
    b"surrogate-\xed\xa0\x80",
    b"too-large-\xf4\x90\x80\x80",
    b"cut-\xe2\x82",
    b"cut-\xf0\x9f\x98-in-the-middle",
    b"bad-between-\xff<\xfe>\xe2\x80\xa8",
    b"*",
    b" ",
    b"-rf",
]
_MODES: Final = (0, 0o1, 0o400, 0o777, 0o1000, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777)
_TIMES: Final = (
    -2_147_483_648_000_000_000,
    -1_000_000_001,
    -1_000_000_000,
    -1,
    0,
    1,
    10,
    100_000_000,
    999_999_999,
    1_000_000_000,
    1_709_164_800_000_000_000,  # 29 February
    4_102_444_799_999_999_990,
)
_OWNERS: Final = ((1, 0), (0, 1), (65534, 65534), (4_294_967_294, 4_294_967_294))

FILES: Final = [
    *(File(name) for name in _NAMES),
    *(File(f"mode-{mode:o}".encode(), mode=mode) for mode in _MODES),
    *(File(f"time-{mtime}".encode(), mtime=mtime) for mtime in _TIMES),
    *(File(f"owner-{uid}-{gid}".encode(), uid=uid, gid=gid) for uid, gid in _OWNERS),
]


def make(folder: Path) -> None:
    """Makes the files in an existing folder; needs root, because files are given away."""
    for file in FILES:
        path = os.fsencode(folder) + b"/" + file.name
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.chown(path, file.uid, file.gid)
        os.chmod(path, file.mode)
        os.utime(path, ns=(file.mtime, file.mtime))


def stored(kopia_version: str) -> bytes:
    """The directory object as this version of kopia wrote it."""
    return (Path(__file__).parent / f"golden-directory-{kopia_version}.json").read_bytes()
