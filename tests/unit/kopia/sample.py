"""A repository format with known keys, so that tests need no key derivation, and repositories made with it."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable
from typing import Any, Final

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
