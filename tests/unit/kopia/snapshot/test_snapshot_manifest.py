from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kopia.sample import SOURCE, open_in, ticking
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.manifest.manifest_manager import Manifest
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot import snapshot_manifest
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry, Summary
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot, Source, UploadStatistics
from velero_py_plugin.testing.memory_storage import MemoryStorage

ROOT = DirectoryEntry("data", "d", "k" + "ab" * 16, 0o755, 0, 10**9, 0, 0, Summary(5, 1, 0, 1, 10**9))
SNAPSHOT = Snapshot(
    manifest_id="",
    source=SOURCE,
    start_time=1_795_000_000 * 10**9,
    end_time=1_795_000_001 * 10**9,
    root_entry=ROOT,
    description="Kopia Uploader",
    tags={"snapshot-uploader": "kopia", "snapshot-requester": "x"},
    pins=("velero-pin",),
    statistics=UploadStatistics(total_size=5, file_count=1, dir_count=1).to_json(),
)
#: The order and spelling of kopia v0.23.1 snapshot/manifest.go, as Velero 1.18.3 stored one.
STORED = (
    b'{"id":"","source":{"host":"default","userName":"default","path":"snapshot-data-upload-download/kopia/app/data"},'
    b'"description":"Kopia Uploader","startTime":"2026-11-18T11:06:40Z","endTime":"2026-11-18T11:06:41Z",'
    b'"stats":{"totalSize":5,"excludedTotalSize":0,"fileCount":1,"cachedFiles":0,"nonCachedFiles":0,"dirCount":1,'
    b'"excludedFileCount":0,"excludedDirCount":0,"ignoredErrorCount":0,"errorCount":0},'
    b'"rootEntry":{"name":"data","type":"d","mode":"0755","mtime":"1970-01-01T00:00:01Z",'
    b'"obj":"kabababababababababababababababab",'
    b'"summ":{"size":5,"files":1,"symlinks":0,"dirs":1,"maxTime":"1970-01-01T00:00:01Z","numFailed":0}},'
    b'"tags":{"snapshot-requester":"x","snapshot-uploader":"kopia"},"pins":["velero-pin"]}'
)


@pytest.fixture
def repository() -> Iterator[Repository]:
    with open_in(MemoryStorage(), now_ns=ticking(1_795_000_000)) as opened:
        yield opened


def at(seconds: int, **changes: Any) -> Snapshot:
    return dataclasses.replace(SNAPSHOT, start_time=seconds * 10**9, **changes)


def test_the_data_is_what_velero_stores() -> None:
    assert go_json.dumps(SNAPSHOT.to_json()) == STORED


def test_what_is_empty_is_left_out() -> None:
    bare = dataclasses.replace(SNAPSHOT, tags={}, pins=(), description="")
    assert list(bare.to_json()) == ["id", "source", "description", "startTime", "endTime", "stats", "rootEntry"]
    partial = dataclasses.replace(bare, incomplete="checkpoint")
    assert list(partial.to_json())[6:] == ["incomplete", "rootEntry"]


def test_a_saved_snapshot_is_found_with_its_labels(repository: Repository) -> None:
    saved = snapshot_manifest.save(repository.manifests, SNAPSHOT)
    repository.flush()
    repository.refresh()
    [manifest] = repository.manifests.find({"type": "snapshot"})
    assert manifest.manifest_id == saved.manifest_id
    assert manifest.labels == {
        "type": "snapshot",
        "hostname": "default",
        "username": "default",
        "path": "snapshot-data-upload-download/kopia/app/data",
        "snapshot-uploader": "kopia",
        "snapshot-requester": "x",
    }
    assert snapshot_manifest.list_snapshots(repository.manifests) == [saved]
    assert snapshot_manifest.find_snapshot(repository.manifests, saved.manifest_id) == saved
    assert str(saved.source) == "default@default:snapshot-data-upload-download/kopia/app/data"


@pytest.mark.parametrize(
    "changes",
    [
        {"tags": {"type": "policy"}},
        {"tags": {"path": "x"}},
        {"source": Source("", "default", "x")},
        {"source": Source("default", "", "x")},
        {"source": Source("default", "default", "")},
    ],
)
def test_what_kopia_would_not_accept_is_not_saved(repository: Repository, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be saved"):
        snapshot_manifest.save(repository.manifests, dataclasses.replace(SNAPSHOT, **changes))
    assert snapshot_manifest.list_snapshots(repository.manifests) == []


def test_lists_are_by_start_time_source_and_tags(repository: Repository) -> None:
    other = Source("default", "default", "other")
    saved = [
        snapshot_manifest.save(repository.manifests, snapshot)
        for snapshot in (at(3), at(1, source=other), at(2, tags={"a": "1"}), at(4, tags={"a": "2"}, source=other))
    ]

    def starts(*arguments: Any) -> list[int]:
        found = snapshot_manifest.list_snapshots(repository.manifests, *arguments)
        return [snapshot.start_time // 10**9 for snapshot in found]

    assert starts() == [1, 2, 3, 4]
    assert starts(SOURCE) == [2, 3]
    assert starts(other) == [1, 4]
    assert starts(None, {"a": "1"}) == [2]
    assert starts(other, {"a": "1"}) == []
    assert snapshot_manifest.find_snapshot(repository.manifests, "latest") == saved[3]


def test_the_latest_is_complete(repository: Repository) -> None:
    snapshot_manifest.save(repository.manifests, at(2, incomplete="canceled"))
    with pytest.raises(errors.SnapshotNotFoundError, match="no complete snapshot"):
        snapshot_manifest.find_snapshot(repository.manifests, "latest")
    complete = snapshot_manifest.save(repository.manifests, at(1))
    assert snapshot_manifest.find_snapshot(repository.manifests, "latest") == complete


def test_an_unknown_snapshot_is_named(repository: Repository) -> None:
    snapshot_manifest.save(repository.manifests, SNAPSHOT)
    with pytest.raises(errors.SnapshotNotFoundError, match="no snapshot 'ffff'; it has 1 others"):
        snapshot_manifest.find_snapshot(repository.manifests, "ffff")


@pytest.mark.parametrize(
    "damage",
    [
        {"source": ...},
        {"source": None},
        {"source": "x"},
        {"source": {"host": "h"}},
        {"startTime": ...},
        {"endTime": 5},
        {"rootEntry": ...},
        {"rootEntry": None},
        {"rootEntry": {}},
        {"pins": 5},
        {"pins": [5]},
        {"tags": {"a": 1}},
        {"incomplete": 5},
        {"description": None},
    ],
)
def test_a_damaged_snapshot_does_not_hide_the_others(
    repository: Repository, caplog: pytest.LogCaptureFixture, damage: dict[str, Any]
) -> None:
    data = {key: value for key, value in {**json.loads(STORED), **damage}.items() if value is not ...}
    damaged = repository.manifests.put({"type": "snapshot", "path": "/"}, data)
    saved = snapshot_manifest.save(repository.manifests, SNAPSHOT)
    with caplog.at_level(logging.WARNING):
        assert snapshot_manifest.list_snapshots(repository.manifests) == [saved]
    assert damaged in caplog.text


@pytest.mark.parametrize("data", [None, [], "x", 5])
def test_what_is_no_snapshot_is_refused(data: Any) -> None:
    with pytest.raises(errors.CorruptRepositoryError, match="the snapshot manifest 0123 cannot be read"):
        Snapshot.from_manifest(Manifest("0123", {"type": "snapshot"}, 0, data))


def test_fields_that_only_kopia_writes_are_ignored() -> None:
    data = {**json.loads(STORED), "storageStats": {"newData": {}}, "retentionReasons": ["latest-1"], "tags": None}
    read = Snapshot.from_manifest(Manifest("0123", {}, 0, data))
    assert read == dataclasses.replace(SNAPSHOT, manifest_id="0123", tags={})


def test_the_root_of_everything_and_of_a_block_volume_are_roots_like_any_other() -> None:
    for name in ("/", "/dev/xvdba"):
        data = {**json.loads(STORED), "rootEntry": {**json.loads(STORED)["rootEntry"], "name": name}}
        assert Snapshot.from_manifest(Manifest("0123", {}, 0, data)).root_entry.name == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=5), below, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(list(json.loads(STORED))), JSON))
def test_a_mutated_snapshot_raises_only_the_documented_error(changes: dict[str, Any]) -> None:
    manifest = Manifest("0123", {}, 0, {**json.loads(STORED), **changes})
    try:
        read = Snapshot.from_manifest(manifest)
    except errors.CorruptRepositoryError:
        return
    assert Snapshot.from_manifest(Manifest("0123", {}, 0, go_json.loads(go_json.dumps(read.to_json()), ""))) == read
