"""Blobs that the real kopia writes, read by our stores, and the other way round."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fix_kopia import Kopia, KopiaError
from velero_py_plugin.kopia.blob.location import open_storage
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.testing.tree import compare_trees, generate_tree, summarise_tree


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3_url"))
    tmp_path.joinpath("repository").mkdir()
    return f"file://{tmp_path}/repository"


@pytest.fixture
def repository(url: str, any_kopia: Kopia, tmp_path: Path) -> str:
    """A repository that kopia made, with a snapshot of a few files."""
    any_kopia.create(url)
    source = tmp_path / "source"
    source.mkdir()
    source.joinpath("file").write_bytes(b"content" * 100_000)
    any_kopia.snapshot(source)
    return url


@pytest.fixture
def storage(repository: str) -> Iterator[Storage]:
    storage = open_storage(repository)
    yield storage
    storage.close()


def test_kopias_blobs_are_ours(any_kopia: Kopia, storage: Storage) -> None:
    ours = {blob.blob_id: blob for blob in storage.list()}
    # Each run of kopia may write a log when it ends.
    theirs = {blob["id"]: blob for blob in any_kopia.run_json("blob", "list") if not blob["id"].startswith("_log_")}
    assert {"kopia.repository", "kopia.blobcfg", "kopia.maintenance"} < theirs.keys()
    assert {name[0] for name in theirs} >= {"p", "q", "x"}
    assert {name for name in ours if not name.startswith("_log_")} == theirs.keys()
    for name, blob in theirs.items():
        assert ours[name].length == blob["length"]
        assert storage.metadata(name) == ours[name]
        assert storage.get(name) == any_kopia.run("blob", "show", name)


def test_our_blobs_are_kopias(any_kopia: Kopia, storage: Storage) -> None:
    names = ["xe7", f"p{uuid.uuid4().hex}-s0123456789abcdef147", f"_log_{uuid.uuid4().hex}"]
    for name in names:
        storage.put(name, name.encode())
    listed = {blob["id"]: blob["length"] for blob in any_kopia.run_json("blob", "list")}
    for name in names:
        assert listed[name] == len(name)
        assert any_kopia.run("blob", "show", name) == name.encode()
    for name in names:
        any_kopia.run("blob", "delete", name)
    assert not {blob.blob_id for blob in storage.list()} & set(names)


def test_a_folder_that_we_made_becomes_kopias_repository(any_kopia: Kopia, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/ours"
    open_storage(url, create=True)
    any_kopia.create(url)
    assert json.loads(tmp_path.joinpath("ours", ".shards").read_bytes()) == {
        "default": [1, 3],
        "maxNonShardedLength": 20,
    }
    assert {blob.blob_id for blob in open_storage(url).list()} >= {"kopia.repository", "kopia.blobcfg"}


def test_a_client_says_why_it_failed(kopia: Kopia, tmp_path: Path) -> None:
    with pytest.raises(KopiaError, match="not initialized"):
        kopia.connect(f"file://{tmp_path}")


def test_a_generated_tree_survives_kopia(any_kopia: Kopia, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    generate_tree(source, files=200, large_file_bytes=5_000_000, seed=3)
    tmp_path.joinpath("repository").mkdir()
    any_kopia.create(f"file://{tmp_path}/repository")
    manifest = any_kopia.snapshot(source)
    assert manifest["rootEntry"]["summ"]["numFailed"] == 0
    assert [each["id"] for each in any_kopia.snapshots()] == [manifest["id"]]
    any_kopia.verify()
    any_kopia.content_verify()
    any_kopia.maintenance()
    any_kopia.restore(manifest["id"], target)
    assert b"odd names" in any_kopia.show(manifest["rootEntry"]["obj"])
    # kopia gives a folder the time of the newest file below it, and rounds the times of links to microseconds.
    differences = compare_trees(source, target, directory_times=False)
    assert [each for each in differences if (each.path[:6], each.what) != ("links/", "mtime")] == []
    assert summarise_tree(source) == summarise_tree(target)
