"""Directory entries and directory objects.

Source: kopia v0.23.1 ``snapshot/manifest.go``, ``fs/entry.go``, ``snapshot/snapshotfs/dir_writer.go``. A directory is
an object with content prefix ``k``: ``{"stream":"kopia:directory","entries":[...],"summary":{...}}`` and a newline.
Directories come first, then everything else, each by name in byte order. Entry fields with their zero value are left
out. A name that is not UTF-8 loses its bytes in Kopia's format; the extra key ``rawName`` (base64), which kopia
ignores, keeps them for our restore.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import stat
from collections.abc import Iterable
from typing import Any, Final, Literal

from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.object import object_manager

EntryType = Literal["f", "d", "s"]
FILE: Final[EntryType] = "f"
DIRECTORY: Final[EntryType] = "d"
SYMLINK: Final[EntryType] = "s"

# Go's os.FileMode has the three special bits elsewhere than Unix.
_SPECIAL_BITS: Final = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))
_PERMISSIONS: Final = 0o777
_MAX_GO_MODE: Final = 1 << 31
_MAX_ID: Final = 1 << 32
_MAX_SIZE: Final = 1 << 63


@dataclasses.dataclass(slots=True)
class Summary:
    """What lies below a directory, itself included.

    Attributes:
        size: Bytes in regular files.
        files: Regular files.
        symlinks: Symbolic links.
        dirs: Directories.
        max_time: Latest modification time below, nanoseconds since 1970.
        failed: Entries that could not be read when the snapshot was made.
    """

    size: int = 0
    files: int = 0
    symlinks: int = 0
    dirs: int = 1
    max_time: int = 0
    failed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Kopia's names and order."""
        return {
            "size": self.size,
            "files": self.files,
            "symlinks": self.symlinks,
            "dirs": self.dirs,
            "maxTime": go_json.format_time(self.max_time),
            "numFailed": self.failed,
        }

    @classmethod
    def from_json(cls, value: Any) -> Summary:
        """Reads kopia's names; raises ``CorruptRepositoryError`` on anything else."""
        try:
            return cls(
                int(value.get("size", 0)),
                int(value.get("files", 0)),
                int(value.get("symlinks", 0)),
                int(value.get("dirs", 0)),
                go_json.parse_time(value["maxTime"]) if "maxTime" in value else 0,
                int(value.get("numFailed", 0)),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise errors.CorruptRepositoryError(f"a directory summary cannot be read: {error!r}") from error


@dataclasses.dataclass(slots=True)
class DirectoryEntry:
    """One name in a directory.

    Attributes:
        name: Base name; bytes that are not UTF-8 are surrogates, as ``os.fsdecode`` makes them.
        type: File, directory or symbolic link.
        object_id: Text form of the object with the data, the directory, or the link's target.
        mode: Unix permission bits with set-uid, set-gid and sticky.
        size: Bytes of a file or of a link's target; 0 for directories.
        mtime: Modification time, nanoseconds since 1970.
        uid: Owner.
        gid: Group.
        summary: Of a directory, what lies below.
    """

    name: str
    type: EntryType
    object_id: str
    mode: int = 0
    size: int = 0
    mtime: int = 0
    uid: int = 0
    gid: int = 0
    summary: Summary | None = None

    def same_metadata(self, other: DirectoryEntry) -> bool:
        """Whether the other entry may be taken for unchanged (kopia ``snapshot/upload/upload.go``)."""
        return (
            self.mtime == other.mtime
            and self.size == other.size
            and self.mode == other.mode
            and self.type == other.type
            and self.uid == other.uid
            and self.gid == other.gid
        )

    def to_json(self) -> dict[str, Any]:
        """Kopia's names and order."""
        value: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.mode:
            value["mode"] = f"0{_to_go_mode(self.mode):o}"
        if self.size:
            value["size"] = self.size
        if self.mtime:
            value["mtime"] = go_json.format_time(self.mtime)
        if self.uid:
            value["uid"] = self.uid
        if self.gid:
            value["gid"] = self.gid
        value["obj"] = self.object_id
        if self.summary is not None:
            value["summ"] = self.summary.to_json()
        if not self.name.isascii() and (raw := os.fsencode(self.name)) != self.name.encode(errors="replace"):
            value["rawName"] = base64.b64encode(raw).decode()
        return value

    @classmethod
    def from_json(cls, value: Any, *, root: bool = False) -> DirectoryEntry:
        """Reads and checks an entry.

        Args:
            value: The entry as kopia stores it.
            root: Whether it is the root of a snapshot. Its name is only shown, never a path, and may be anything:
                ``/``, or the device of a block volume in Velero's snapshots.

        Raises:
            CorruptRepositoryError: A field has a wrong type, or the name is not one that a directory can have.
        """
        try:
            name = value["name"]
            if "rawName" in value:
                name = os.fsdecode(base64.b64decode(value["rawName"], validate=True))
            entry_type, object_id = value.get("type"), value.get("obj")
            if not isinstance(name, str) or not isinstance(object_id, str):
                raise TypeError("the name or object id is not text")
            entry = cls(
                name=name,
                type=entry_type,
                object_id=object_id,
                mode=_from_go_mode(value.get("mode", "0")),
                size=_count(value.get("size", 0), _MAX_SIZE),
                mtime=go_json.parse_time(value["mtime"]) if "mtime" in value else 0,
                uid=_count(value.get("uid", 0), _MAX_ID),
                gid=_count(value.get("gid", 0), _MAX_ID),
                summary=Summary.from_json(value["summ"]) if value.get("summ") is not None else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise errors.CorruptRepositoryError(f"a directory entry cannot be read: {error!r}") from error
        if not root:
            check_name(name)
        if entry_type not in (FILE, DIRECTORY, SYMLINK):
            raise errors.CorruptRepositoryError(f"the directory entry {name!r} is of the unknown type {entry_type!r}")
        return entry


def check_name(name: str) -> None:
    """Refuses a name that no directory can have.

    Raises:
        CorruptRepositoryError: It is empty, ``.``, ``..``, or has ``/`` or NUL in it.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise errors.CorruptRepositoryError(
            f"a directory entry is named {name!r}, which would lead outside its directory: refused"
        )


def _count(value: object, limit: int) -> int:
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(f"{value!r} is out of range")
    return value


def _to_go_mode(mode: int) -> int:
    return mode & _PERMISSIONS | sum(go_bit for unix_bit, go_bit in _SPECIAL_BITS if mode & unix_bit)


def _from_go_mode(text: Any) -> int:
    if not isinstance(text, str):
        raise TypeError("mode is not text")
    value = int(text, 0 if text.startswith("0x") else 8 if text.startswith("0") else 10)
    if not 0 <= value < _MAX_GO_MODE:
        raise ValueError(f"mode {text!r} is out of range")
    return value & _PERMISSIONS | sum(unix_bit for unix_bit, go_bit in _SPECIAL_BITS if value & go_bit)


def summarise(entries: Iterable[DirectoryEntry], own_mtime: int) -> Summary:
    """Adds up what a directory holds.

    Args:
        entries: Its entries.
        own_mtime: Its own modification time, which counts only when it is empty.
    """
    summary = Summary()
    empty = True
    for entry in entries:
        empty = False
        summary.max_time = max(summary.max_time, entry.mtime)
        if entry.type == FILE:
            summary.files += 1
            summary.size += entry.size
        elif entry.type == SYMLINK:
            summary.symlinks += 1
        if entry.summary is not None:
            below = entry.summary
            summary.size += below.size
            summary.files += below.files
            summary.symlinks += below.symlinks
            summary.dirs += below.dirs
            summary.failed += below.failed
            summary.max_time = max(summary.max_time, below.max_time)
    if empty:
        summary.max_time = own_mtime
    return summary


def write_directory(
    objects: object_manager.ObjectManager, entries: list[DirectoryEntry], own_mtime: int
) -> tuple[str, Summary]:
    """Stores a directory; the entries may be in any order.

    Returns:
        The object id's text form and the summary.
    """
    entries.sort(key=lambda entry: (entry.type != DIRECTORY, os.fsencode(entry.name)))
    summary = summarise(entries, own_mtime)
    document = {
        "stream": "kopia:directory",
        "entries": [entry.to_json() for entry in entries] or None,
        "summary": summary.to_json(),
    }
    data = go_json.dumps(document) + b"\n"
    return str(objects.write_bytes(data, ids.CONTENT_PREFIX_DIRECTORY)), summary


def read_directory(objects: object_manager.ObjectManager, object_id: str) -> list[DirectoryEntry]:
    """Reads a directory.

    Raises:
        CorruptRepositoryError: It is missing, damaged, or has entries that no directory can have.
    """
    document = go_json.loads(objects.read(ids.ObjectID.parse(object_id)), f"the directory {object_id}")
    if not isinstance(document, dict) or document.get("stream") != "kopia:directory":
        raise errors.CorruptRepositoryError(f"the object {object_id} is not a directory")
    entries = document.get("entries") or []
    if not isinstance(entries, list):
        raise errors.CorruptRepositoryError(f"the directory {object_id} has no list of entries")
    return [DirectoryEntry.from_json(entry) for entry in entries]
