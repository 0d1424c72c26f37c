from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.data import golden_directory
from tests.unit.kopia.sample import EMPTY_CONTENT, open_in
from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot import directory
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry, Summary
from velero_py_plugin.testing.memory_storage import MemoryStorage


@pytest.fixture
def repository() -> Iterator[Repository]:
    with open_in(MemoryStorage()) as opened:
        yield opened


def raw(repository: Repository, object_id: str) -> bytes:
    return repository.objects.read(ids.ObjectID.parse(object_id))


@pytest.mark.parametrize("version", ["0.16.0", "0.23.1"])
def test_directories_are_written_as_kopia_wrote_them(repository: Repository, version: str) -> None:
    kopia = golden_directory.stored(version)
    content = json.loads(kopia)["entries"][0]["obj"]
    entries = [
        DirectoryEntry(os.fsdecode(file.name), "f", content, file.mode, 0, file.mtime, file.uid, file.gid)
        for file in golden_directory.FILES
    ]
    object_id, _ = directory.write_directory(repository.objects, entries, own_mtime=1)
    ours, names = re.subn(rb',"rawName":"[^"]*"', b"", raw(repository, object_id))
    assert ours == kopia
    assert names == 134  # names that are not UTF-8, of which kopia loses bytes


@pytest.mark.parametrize("version", ["0.16.0", "0.23.1"])
def test_a_directory_that_kopia_wrote_is_read(repository: Repository, version: str) -> None:
    kopia = golden_directory.stored(version)
    object_id = str(repository.objects.write_bytes(kopia, "k"))
    found = directory.read_directory(repository.objects, object_id)
    expected = sorted(golden_directory.FILES, key=lambda file: file.name)
    for entry, file in zip(found, expected, strict=True):
        assert entry.name == re.sub("[\ud800-\udfff]", "\ufffd", os.fsdecode(file.name))
        assert (entry.mode, entry.mtime, entry.uid, entry.gid) == (file.mode, file.mtime, file.uid, file.gid)


def test_all_fields_in_kopia_s_order(repository: Repository) -> None:
    below = Summary(size=5, files=1, symlinks=0, dirs=1, max_time=7)
    entries = [
        DirectoryEntry("b", "f", "ab" * 16, 0o4755, 5, 1_000_000_000, 1, 2),
        DirectoryEntry("z", "d", "k" + "ab" * 16, 0o1777, 0, -1, 0, 0, below),
        DirectoryEntry("a", "s", "cd" * 16, 0o777, 3, 0, 0, 0),
    ]
    object_id, summary = directory.write_directory(repository.objects, entries, own_mtime=99)
    assert raw(repository, object_id) == (
        b'{"stream":"kopia:directory","entries":['
        b'{"name":"z","type":"d","mode":"04000777","mtime":"1969-12-31T23:59:59.999999999Z",'
        b'"obj":"kabababababababababababababababab",'
        b'"summ":{"size":5,"files":1,"symlinks":0,"dirs":1,"maxTime":"1970-01-01T00:00:00.000000007Z","numFailed":0}},'
        b'{"name":"a","type":"s","mode":"0777","size":3,"obj":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"},'
        b'{"name":"b","type":"f","mode":"040000755","size":5,"mtime":"1970-01-01T00:00:01Z","uid":1,"gid":2,'
        b'"obj":"abababababababababababababababab"}],'
        b'"summary":{"size":10,"files":2,"symlinks":1,"dirs":2,"maxTime":"1970-01-01T00:00:01Z","numFailed":0}}\n'
    )
    assert summary == Summary(size=10, files=2, symlinks=1, dirs=2, max_time=1_000_000_000)


def test_an_empty_directory_has_no_list_and_its_own_time(repository: Repository) -> None:
    object_id, summary = directory.write_directory(repository.objects, [], own_mtime=-5_000_000_000)
    assert raw(repository, object_id) == (
        b'{"stream":"kopia:directory","entries":null,"summary":{"size":0,"files":0,"symlinks":0,"dirs":1,'
        b'"maxTime":"1969-12-31T23:59:55Z","numFailed":0}}\n'
    )
    assert summary.max_time == -5_000_000_000
    assert directory.read_directory(repository.objects, object_id) == []


def test_the_latest_time_starts_at_the_epoch_and_counts_what_is_below() -> None:
    old = DirectoryEntry("a", "f", EMPTY_CONTENT, mtime=-5)
    assert directory.summarise([old], own_mtime=3).max_time == 0
    deep = DirectoryEntry("d", "d", EMPTY_CONTENT, mtime=1, summary=Summary(max_time=9, failed=2))
    assert directory.summarise([old, deep], own_mtime=3) == Summary(files=1, dirs=2, max_time=9, failed=2)


@pytest.mark.parametrize("changes", [{"mtime": 2}, {"size": 2}, {"mode": 0o600}, {"uid": 1}, {"gid": 1}, {"type": "s"}])
def test_an_entry_with_any_other_metadata_may_have_changed(changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {"name": "a", "type": "f", "object_id": "x", "mode": 0o644, "size": 1, "mtime": 1}
    entry = DirectoryEntry(**values)
    assert entry.same_metadata(DirectoryEntry(**{**values, "object_id": "y"}))
    assert not entry.same_metadata(DirectoryEntry(**{**values, **changes}))


NAMES = st.binary(min_size=1, max_size=60).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
SUMMARIES = st.builds(
    Summary,
    *[st.integers(0, 2**63 - 1)] * 4,
    max_time=st.integers(-(2**63), 2**63 - 1),
    failed=st.integers(0, 2**31),
)
ENTRIES = st.builds(
    DirectoryEntry,
    NAMES.map(os.fsdecode),
    st.sampled_from(["f", "d", "s"]),
    st.just(EMPTY_CONTENT),
    mode=st.integers(0, 0o7777),
    size=st.integers(0, 2**63 - 1),
    mtime=st.integers(-(2**63), 2**63 - 1),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    summary=st.none() | SUMMARIES,
)


@given(ENTRIES)
@example(DirectoryEntry("?", "f", EMPTY_CONTENT))
@example(DirectoryEntry("\ufffd", "f", EMPTY_CONTENT))
@example(DirectoryEntry("\udcff?", "f", EMPTY_CONTENT))
def test_any_entry_reads_back(entry: DirectoryEntry) -> None:
    written = go_json.dumps(entry.to_json())
    assert DirectoryEntry.from_json(go_json.loads(written, "entry")) == entry
    not_utf_8 = any("\ud800" <= letter <= "\udfff" for letter in entry.name)
    assert (b'"rawName"' in written) == not_utf_8


@given(st.lists(ENTRIES, max_size=8, unique_by=lambda entry: entry.name))
def test_directories_are_sorted_whatever_the_order_of_reading(entries: list[DirectoryEntry]) -> None:
    with open_in(MemoryStorage()) as repository:
        first, _ = directory.write_directory(repository.objects, list(entries), 0)
        second, _ = directory.write_directory(repository.objects, entries[::-1], 0)
        assert first == second
        found = directory.read_directory(repository.objects, first)
    keys = [(entry.type != "d", os.fsencode(entry.name)) for entry in found]
    assert keys == sorted(keys)
    assert len(found) == len(entries)


def read(**changes: Any) -> DirectoryEntry:
    value = {"name": "a", "type": "f", "obj": EMPTY_CONTENT, **changes}
    return DirectoryEntry.from_json({key: field for key, field in value.items() if field is not ...})


HOSTILE = ["", ".", "..", "../x", "/abs", "a/b", "/", "a/", "..\0", "a\0b", "\0"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="would lead outside its directory"):
        read(name=name)


@pytest.mark.parametrize("name", [b"..", b"../x", b"/abs", b"", b"a\0b", b"\xff/\xff"])
def test_a_raw_name_that_leads_elsewhere_is_refused(name: bytes) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="would lead outside its directory"):
        read(rawName=base64.b64encode(name).decode())


@pytest.mark.parametrize("name", ["...", "..a", "a..", "~", "\\", "a\\..\\b", " ", "\n", "CON", "-rf", "*"])
def test_unusual_names_are_just_names(name: str) -> None:
    assert read(name=name).name == name


@pytest.mark.parametrize("name", ["/", "/dev/xvda", "", ".."])
def test_the_name_of_a_root_is_only_shown(name: str) -> None:
    # kopia names the root of "/" so, and Velero that of a block volume by its device.
    value = {"name": name, "type": "d", "obj": "k" + EMPTY_CONTENT}
    assert DirectoryEntry.from_json(value, root=True).name == name


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("0", 0),
        ("0644", 0o644),
        ("040000755", 0o4755),
        ("020000755", 0o2755),
        ("04000777", 0o1777),
        ("0x1a4", 0o644),
        ("420", 0o644),
    ],
)
def test_modes(text: str, mode: int) -> None:
    assert read(mode=text).mode == mode


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ...},
        {"name": 5},
        {"name": None},
        {"rawName": 5},
        {"rawName": "?"},
        {"rawName": "ä"},
        {"obj": ...},
        {"obj": None},
        {"type": ...},
        {"type": "p"},
        {"type": ["f"]},
        {"mode": 420},
        {"mode": ""},
        {"mode": "rwx"},
        {"mode": "-1"},
        {"mode": "040000000000"},
        {"mode": "9" * 5000},
        {"size": -1},
        {"size": 1 << 63},
        {"size": 1.5},
        {"size": "1"},
        {"size": True},
        {"uid": 1 << 32},
        {"gid": -1},
        {"mtime": 5},
        {"mtime": "now"},
        {"summ": 5},
        {"summ": {"files": "x"}},
        {"summ": {"files": []}},
        {"summ": {"maxTime": "now"}},
    ],
)
def test_a_damaged_entry_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(errors.CorruptRepositoryError):
        read(**changes)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"stream":"kopia:indirect","entries":[]}',
        b'{"stream":"kopia:directory","entries":{"a":1}}',
        b'{"stream":"kopia:directory","entries":"x"}',
        b'{"stream":"kopia:directory","entries":[5]}',
        b'{"stream":"kopia:directory","entries":[null]}',
    ],
)
def test_what_is_no_directory_is_refused(repository: Repository, document: bytes) -> None:
    object_id = str(repository.objects.write_bytes(document, "k"))
    with pytest.raises(errors.CorruptRepositoryError):
        directory.read_directory(repository.objects, object_id)


@pytest.mark.parametrize("entries", [b"null", b"[]"])
def test_a_directory_without_entries_is_empty(repository: Repository, entries: bytes) -> None:
    object_id = str(repository.objects.write_bytes(b'{"stream":"kopia:directory","entries":' + entries + b"}", "k"))
    assert directory.read_directory(repository.objects, object_id) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=5), below, max_size=2),
    max_leaves=3,
)
KEYS = st.sampled_from(["name", "rawName", "type", "mode", "size", "mtime", "uid", "gid", "obj", "summ"])


@given(st.dictionaries(KEYS, JSON) | JSON)
def test_a_mutated_entry_raises_only_the_documented_error(changes: Any) -> None:
    value = {**read().to_json(), **changes} if isinstance(changes, dict) else changes
    try:
        entry = DirectoryEntry.from_json(value)
    except errors.CorruptRepositoryError:
        return
    assert DirectoryEntry.from_json(entry.to_json()) == entry


@given(st.binary(max_size=30), st.integers(0), st.integers(0, 5))
def test_a_mutated_directory_raises_only_the_documented_error(inserted: bytes, at: int, removed: int) -> None:
    document = bytearray(golden_directory.stored("0.23.1")[:400] + b"}]}")
    at %= len(document)
    document[at : at + removed] = inserted
    with open_in(MemoryStorage()) as repository:
        object_id = str(repository.objects.write_bytes(bytes(document), "k"))
        try:
            directory.read_directory(repository.objects, object_id)
        except errors.CorruptRepositoryError:
            return


def test_modes_of_the_system_survive() -> None:
    for mode in range(0o10000):
        assert read(mode=f"0{directory._to_go_mode(mode):o}").mode == stat.S_IMODE(mode)
