"""What we write, kopia takes for its own: it verifies, restores, recovers, maintains and forgets it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.interop.kopia.conftest import Ours, assert_same
from tests.support.fix_kopia import Kopia
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage


@pytest.fixture
def repository(ours: Ours, any_kopia: Kopia, volume: Path) -> Ours:
    """A repository that we made, with a snapshot of the volume; kopia is connected to it."""
    ours.create()
    ours.back_up(volume)
    any_kopia.connect(ours.url)
    return ours


def test_kopia_verifies_and_restores_it(repository: Ours, any_kopia: Kopia, volume: Path, tmp_path: Path) -> None:
    any_kopia.verify()
    any_kopia.content_verify()
    [snapshot] = any_kopia.snapshots()
    [ours] = repository.snapshots()
    assert (snapshot["id"], snapshot["rootEntry"]["obj"]) == (ours.manifest_id, ours.root_entry.object_id)
    any_kopia.restore(snapshot["id"], tmp_path / "whole")
    assert_same(volume, tmp_path / "whole", by_kopia=True)
    any_kopia.restore(f"{snapshot['id']}/odd names", tmp_path / "part")
    assert_same(volume / "odd names", tmp_path / "part", by_kopia=True)


def test_kopia_shows_what_we_filed(repository: Ours, any_kopia: Kopia) -> None:
    status = any_kopia.run_json("repository", "status")
    assert status["contentFormat"]["hash"] == "BLAKE2B-256-128"
    assert status["contentFormat"]["version"] == 3
    assert status["objectFormat"]["splitter"] == "DYNAMIC-4M-BUZHASH"
    [snapshot] = any_kopia.snapshots()
    assert snapshot["stats"]["errorCount"] == 0
    assert any_kopia.run_json("maintenance", "info")["owner"] == "default@default"


def test_kopia_finds_our_packs_and_rebuilds_a_lost_index_from_them(
    repository: Ours, any_kopia: Kopia, volume: Path, tmp_path: Path
) -> None:
    storage = FilesystemStorage(tmp_path / "repository")
    packs = {blob.blob_id for prefix in "pq" for blob in storage.list(prefix)}
    assert {blob["id"] for blob in any_kopia.run_json("blob", "list") if blob["id"][0] in "pq"} == packs
    before = sorted(
        json.loads(any_kopia.run("content", "list", "--json")), key=lambda content: str(content["contentID"])
    )
    for blob in list(storage.list("xn")):
        storage.delete(blob.blob_id)
    any_kopia.run("index", "recover", "--commit", "--ignore-errors")
    after = sorted(
        json.loads(any_kopia.run("content", "list", "--json")), key=lambda content: str(content["contentID"])
    )
    assert after == before
    any_kopia.verify()
    repository.restore("latest", tmp_path / "restored")
    assert_same(volume, tmp_path / "restored")


def test_full_maintenance_by_kopia_leaves_everything(
    repository: Ours, any_kopia: Kopia, volume: Path, tmp_path: Path
) -> None:
    (volume / "added").write_bytes(b"added")
    repository.back_up(volume)
    for _ in range(2):
        any_kopia.maintenance(safety="none")
    any_kopia.verify()
    assert len(repository.snapshots()) == 2
    repository.restore("latest", tmp_path / "restored")
    assert_same(volume, tmp_path / "restored")
    repository.back_up(volume)
    any_kopia.verify()


def test_what_we_forget_kopia_removes_and_we_can_store_again(
    repository: Ours, any_kopia: Kopia, volume: Path, tmp_path: Path
) -> None:
    storage = FilesystemStorage(tmp_path / "repository")
    full = sum(blob.length for blob in storage.list("p"))
    [snapshot] = repository.snapshots()
    repository.forget(snapshot.manifest_id)
    assert any_kopia.snapshots() == []
    any_kopia.maintenance(safety="none")
    with repository.open() as opened:
        assert opened.contents.list("") == []  # marked as deleted, perhaps still readable
    # Deleted contents come back under a later time than their deletion.
    again, progress = repository.back_up(volume)
    assert progress.bytes_reused == 0
    any_kopia.verify()
    any_kopia.content_verify()
    repository.restore(again.manifest_id, tmp_path / "restored")
    assert_same(volume, tmp_path / "restored")
    for _ in range(3):
        any_kopia.maintenance(safety="none")
    any_kopia.verify()
    assert sum(blob.length for blob in storage.list("p")) < 1.1 * full
    repository.restore(again.manifest_id, tmp_path / "restored")
    assert_same(volume, tmp_path / "restored")


def test_names_that_are_not_utf_8_come_back_with_us_and_do_not_stop_kopia(
    ours: Ours, any_kopia: Kopia, tmp_path: Path
) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    names = [b"caf\xe9", b"\xff\xfe one", b"plain", "\ufffd".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    ours.create()
    snapshot, _ = ours.back_up(folder)
    ours.restore("latest", tmp_path / "ours")
    assert_same(folder, tmp_path / "ours")

    any_kopia.connect(ours.url)
    any_kopia.verify()
    assert b'"rawName"' in any_kopia.show(snapshot.root_entry.object_id)
    any_kopia.restore(snapshot.manifest_id, tmp_path / "theirs")
    restored = {
        name: (tmp_path / "theirs" / os.fsdecode(name)).read_bytes() for name in os.listdir(tmp_path / "theirs")
    }
    assert restored == {
        "caf\ufffd": b"caf\xe9",
        "\ufffd\ufffd one": b"\xff\xfe one",
        "plain": b"plain",
        "\ufffd": "\ufffd".encode(),
    }


def test_kopia_continues_where_we_stopped_and_we_where_it_did(
    repository: Ours, any_kopia: Kopia, volume: Path, tmp_path: Path
) -> None:
    states = []
    for step in range(4):
        (volume / f"step-{step}").write_bytes(os.urandom(100_000))
        if step:
            (volume / f"step-{step - 1}").unlink()
        snapshot_id = repository.back_up(volume)[0].manifest_id if step % 2 else any_kopia.snapshot(volume)["id"]
        states.append((snapshot_id, f"step-{step}", (volume / f"step-{step}").read_bytes()))
    for snapshot_id, name, data in states:
        repository.restore(snapshot_id, tmp_path / "restored")
        assert (tmp_path / "restored" / name).read_bytes() == data
        assert sum(path.startswith("step-") for path in os.listdir(tmp_path / "restored")) == 1
        shutil.rmtree(tmp_path / "restored")
    repository.restore("latest", tmp_path / "restored")
    assert_same(volume, tmp_path / "restored")
    any_kopia.verify()
