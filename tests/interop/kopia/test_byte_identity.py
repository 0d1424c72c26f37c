"""The same folder is the same bytes whoever stores it: kopia and we deduplicate against each other, up to the root."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.data import golden_directory
from tests.interop.kopia.conftest import Ours, assert_same, copy_tree, snapshot_by
from tests.support.fix_kopia import Kopia
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def count_files_and_links(folder: Path) -> int:
    return sum(
        stat.S_ISREG(os.lstat(f"{found}/{name}").st_mode) or stat.S_ISLNK(os.lstat(f"{found}/{name}").st_mode)
        for found, folders, files in os.walk(folder)
        for name in folders + files
    )


@pytest.fixture
def folder(any_kopia: Kopia, pristine: Path, tmp_path: Path) -> Path:
    """The folder to store; without links for the old version, which counts those of its subfolders as none."""
    if any_kopia.version != "0.16.0":
        return pristine
    copy_tree(pristine, tmp_path / "volume")
    shutil.rmtree(tmp_path / "volume" / "links")
    return tmp_path / "volume"


def assert_identical(ours: Snapshot, theirs: dict[str, Any]) -> None:
    assert ours.root_entry.to_json() == theirs["rootEntry"]


def assert_all_cached(theirs: dict[str, Any], folder: Path) -> None:
    stats = theirs["stats"]
    assert (stats["fileCount"], stats["nonCachedFiles"]) == (0, 0)
    assert stats["cachedFiles"] == count_files_and_links(folder)


def test_kopia_then_we_then_kopia(any_kopia: Kopia, ours: Ours, folder: Path, tmp_path: Path) -> None:
    any_kopia.create(ours.url)
    theirs = snapshot_by(any_kopia, folder)
    packs = data_packs(ours)
    mine, progress = ours.back_up(folder)
    assert_identical(mine, theirs)
    assert progress.bytes_read == 0
    assert mine.statistics["cachedFiles"] == count_files_and_links(folder)
    assert mine.statistics["totalSize"] == theirs["stats"]["totalSize"]
    again = snapshot_by(any_kopia, folder)
    assert_identical(mine, again)
    assert_all_cached(again, folder)
    assert data_packs(ours) == packs
    ours.restore(mine.manifest_id, tmp_path / "restored")
    assert_same(folder, tmp_path / "restored")


def test_we_then_kopia_then_we(any_kopia: Kopia, ours: Ours, folder: Path, tmp_path: Path) -> None:
    ours.create()
    mine, progress = ours.back_up(folder)
    assert progress.bytes_reused == 0
    packs = data_packs(ours)
    any_kopia.connect(ours.url)
    theirs = snapshot_by(any_kopia, folder)
    assert_identical(mine, theirs)
    assert_all_cached(theirs, folder)
    again, progress = ours.back_up(folder)
    assert_identical(again, theirs)
    assert progress.bytes_read == 0
    assert data_packs(ours) == packs
    any_kopia.restore(again.manifest_id, tmp_path / "restored")
    assert_same(folder, tmp_path / "restored", by_kopia=True)


def data_packs(ours: Ours) -> set[str]:
    """The packs of file data; no new one means that no file was stored again."""
    with ours.open() as opened:
        return {blob.blob_id for blob in opened.storage.list("p")}


def test_everything_read_again_is_still_the_same(any_kopia: Kopia, ours: Ours, folder: Path) -> None:
    # Not by reusing entries: by the same splitting, hashing and writing of directories.
    ours.create()
    mine, _ = ours.back_up(folder)
    packs = data_packs(ours)
    any_kopia.connect(ours.url)
    any_kopia.snapshot(folder, "--force-hash=100")
    [theirs] = [manifest for manifest in any_kopia.snapshots() if manifest["id"] != mine.manifest_id]
    assert_identical(mine, theirs)
    assert theirs["stats"]["cachedFiles"] == 0
    assert data_packs(ours) == packs


def test_a_directory_too_large_for_one_content(kopia: Kopia, url: str, tmp_path: Path) -> None:
    # More than 8 MiB of JSON, the longest content: an indirect object.
    folder = tmp_path / "volume"
    folder.mkdir()
    for i in range(24_000):
        os.close(os.open(folder / f"{i:05d}-{'x' * 240}", os.O_CREAT))
    kopia.create(url)
    ours = Ours(url, kopia)
    mine, _ = ours.back_up(folder)
    assert mine.root_entry.object_id.startswith("Ik")
    assert_identical(mine, snapshot_by(kopia, folder))


@needs_root
def test_names_modes_times_and_owners(any_kopia: Kopia, ours: Ours, tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    golden_directory.make(folder)
    any_kopia.create(ours.url)
    theirs = any_kopia.show(snapshot_by(any_kopia, folder)["rootEntry"]["obj"])

    def without_ids(directory: bytes) -> bytes:
        return re.sub(rb'"obj":"[0-9a-f]+"', b'"obj":""', directory)

    # What the unit tests hold our directories against is what this kopia writes.
    assert without_ids(theirs) == without_ids(golden_directory.stored(any_kopia.version))
    mine, _ = ours.back_up(folder)
    with ours.open() as opened:
        raw = opened.contents.read(mine.root_entry.object_id)
    assert re.sub(rb',"rawName":"[^"]*"', b"", raw) == theirs
    ours.restore("latest", tmp_path / "restored")
    assert_same(folder, tmp_path / "restored")
