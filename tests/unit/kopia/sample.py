"""A repository format with known keys, so that tests need no key derivation, and folders to store with it."""

from __future__ import annotations

import dataclasses
import itertools
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.kopia.content.entry import Entry
from velero_py_plugin.kopia.format.format_blob import Format
from velero_py_plugin.kopia.format.parameters import FormatParameters
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Source

UNIQUE_ID: Final = bytes(range(32))
PARAMETERS: Final = FormatParameters(
    secret=bytes(range(0x40, 0x60)),
    master_key=bytes(range(0x20, 0x40)),
    splitter="DYNAMIC-128K-BUZHASH",  # 64 KiB to 256 KiB: objects of many chunks without much data
)
SOURCE: Final = Source("default", "default", "snapshot-data-upload-download/kopia/app/data")

#: Id of the empty content under the keys above (kopia-written).
EMPTY_CONTENT: Final = "67d102b539e87f5bebb4503c87ebc993"

#: The two entries whose index kopia v0.23.1 wrote byte for byte as in ``content/test_index_v2.py``.
LIVE_ENTRY: Final = Entry(
    bytes.fromhex("008cad46c40c82e5eb8b6122d413e8a784"),
    1_700_000_000,
    "p00112233445566778899aabbccddeeff-s0011223344556677111",
    pack_offset=32,
    packed_length=34,
    original_length=6,
)
DELETED_ENTRY: Final = Entry(
    bytes.fromhex("6b67d102b539e87f5bebb4503c87ebc993"),
    1_700_000_001,
    "qffeeddccbbaa99887766554433221100-s0011223344556677111",
    pack_offset=77,
    packed_length=300,
    original_length=1000,
    deleted=True,
    compression_id=0x1101,
)


def repository_format(**changes: Any) -> Format:
    """The sample format with some parameters changed."""
    return Format(UNIQUE_ID, dataclasses.replace(PARAMETERS, **changes))


def open_in(storage: Storage, *, now_ns: Callable[[], int] = time.time_ns, **changes: Any) -> Repository:
    """Opens a storage as a repository of the sample format; an empty one is an empty repository."""
    return Repository(storage, repository_format(**changes), now_ns)


def ticking(start: float, step: float = 1.0) -> Callable[[], int]:
    """A clock in nanoseconds that goes on by ``step`` seconds whenever it is read."""
    counter = itertools.count()
    return lambda: int((start + next(counter) * step) * 1e9)


class Node(NamedTuple):
    """What can be told of one name in a folder.

    Attributes:
        kind: Type bits of the mode.
        mode: Permission bits, set-uid, set-gid and sticky.
        owner: User and group.
        mtime: Nanoseconds since 1970.
        data: Bytes of a file, target of a link.
    """

    kind: int
    mode: int
    owner: tuple[int, int]
    mtime: int
    data: bytes


def describe(folder: str | os.PathLike[str], *, directory_times: bool = True) -> dict[bytes, Node]:
    """Everything in a folder by its path below it, the folder itself as ``.``.

    Args:
        folder: The folder.
        directory_times: Whether to include the times of directories, which kopia's restore sets otherwise.
    """
    root = os.fsencode(folder)
    found: dict[bytes, Node] = {}
    stack = [b"."]
    while stack:
        name = stack.pop()
        path = root + b"/" + name
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        data = b""
        if kind == stat.S_IFDIR:
            stack += [name + b"/" + below for below in os.listdir(path)]
        elif kind == stat.S_IFLNK:
            data = os.readlink(path)
        elif kind == stat.S_IFREG:
            data = Path(os.fsdecode(path)).read_bytes()
        mtime = status.st_mtime_ns if kind != stat.S_IFDIR or directory_times else 0
        found[name] = Node(kind, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), mtime, data)
    return found


def make_tree(folder: Path) -> None:
    """Fills an empty folder with every kind of entry that a snapshot holds; needs no privilege."""
    random = np.random.default_rng(1)
    (folder / "empty-folder").mkdir()
    deep = folder / "deep" / "deeper" / "deepest"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"bottom")
    (folder / "empty").touch()
    (folder / "large").write_bytes(random.bytes(1_500_000))
    (folder / "zeros").write_bytes(bytes(1_200_000))
    many = folder / "many"
    many.mkdir()
    for i in range(150):
        (many / f"{i:03d}").write_bytes(random.bytes(int(random.integers(0, 3000))))
    (many / "same-as-000").write_bytes((many / "000").read_bytes())
    names = folder / "names"
    names.mkdir()
    for name in (
        b"<&>\"'",
        "\u2028\u00e9e\u0301\U0001f600".encode(),
        b"\xff\xfe",
        b"\xff\xfd",
        b"x" * 255,
        b" ",
        b"\\",
        b"\n",
    ):
        Path(os.fsdecode(os.fsencode(names) + b"/" + name)).write_bytes(name)
    os.symlink("large", folder / "link")
    os.symlink("/nowhere/\u00e9", folder / "dangling")
    os.symlink(b"\xff", os.fsencode(folder) + b"/link-\xff")
    os.link(folder / "empty", folder / "hard-link")
    for mode in (0o000, 0o400, 0o640, 0o755, 0o1644, 0o2755, 0o4755):
        (folder / f"mode-{mode:o}").write_bytes(b"mode")
        (folder / f"mode-{mode:o}").chmod(mode)
    for mtime in (0, 1, -1, -86_400_000_000_001, 1_000_000_000, 4_000_000_000_123_456_789):
        (folder / f"time{mtime}").write_bytes(b"time")
        os.utime(folder / f"time{mtime}", ns=(mtime, mtime))
    os.utime(folder / "link", ns=(5, 5), follow_symlinks=False)
    (folder / "empty-folder").chmod(0o1777)
    os.utime(folder / "empty-folder", ns=(0, -7))
    os.utime(folder / "deep", ns=(0, 1_500_000_000_000_000_007))
