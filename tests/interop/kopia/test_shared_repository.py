"""One repository, several clients: at the same time, in S3, over many epochs."""

from __future__ import annotations

import os
import time
from concurrent import futures
from pathlib import Path

import pytest

from tests.interop.kopia.conftest import Ours, assert_same
from tests.support.fix_kopia import Kopia
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.content import epoch
from velero_py_plugin.kopia.snapshot import upload


@pytest.mark.parametrize("creator", ["ours", "theirs"])
def test_a_repository_in_s3(any_kopia: Kopia, s3_url: str, pristine: Path, tmp_path: Path, creator: str) -> None:
    ours = Ours(s3_url, any_kopia)
    if creator == "ours":
        ours.create()
        any_kopia.connect(s3_url)
    else:
        any_kopia.create(s3_url)
    mine, _ = ours.back_up(pristine)
    theirs = any_kopia.snapshot(pristine)
    any_kopia.verify()
    ours.restore(theirs["id"], tmp_path / "ours")
    assert_same(pristine, tmp_path / "ours")
    any_kopia.restore(mine.manifest_id, tmp_path / "theirs")
    assert_same(pristine, tmp_path / "theirs", by_kopia=True)


def test_both_write_at_once(any_kopia: Kopia, ours: Ours, pristine: Path, volume: Path, tmp_path: Path) -> None:
    ours.create()
    any_kopia.connect(ours.url)
    for i in range(50):
        (volume / f"own-{i}").write_bytes(os.urandom(50_000))
    with futures.ThreadPoolExecutor(3) as pool:
        theirs = pool.submit(any_kopia.snapshot, pristine)
        mine = [pool.submit(ours.back_up, folder) for folder in (pristine, volume)]
        snapshots = [future.result()[0] for future in mine]
        kopia_id = theirs.result()["id"]
    assert len(ours.snapshots()) == len(any_kopia.snapshots()) == 3
    any_kopia.verify()
    for name, expected in (
        (kopia_id, pristine),
        (snapshots[0].manifest_id, pristine),
        (snapshots[1].manifest_id, volume),
    ):
        ours.restore(name, tmp_path / "restored")
        assert_same(expected, tmp_path / "restored")


def test_epochs_that_kopia_advances_and_compacts(any_kopia: Kopia, ours: Ours, tmp_path: Path) -> None:
    ours.create()
    any_kopia.connect(ours.url)
    any_kopia.run("repository", "set-parameters", "--epoch-min-duration=1h", "--epoch-refresh-frequency=10m")
    any_kopia.run("repository", "set-parameters", "--epoch-advance-on-count=10")
    storage = FilesystemStorage(tmp_path / "repository")
    folder = tmp_path / "volume"
    folder.mkdir()
    written: list[tuple[str, bytes]] = []
    for _ in range(5):
        with ours.open() as opened:
            for _ in range(11):
                data = os.urandom(100)
                (folder / "file").write_bytes(data)
                snapshot = upload.Uploader(opened).upload(str(folder), ours.source(folder))
                written.append((snapshot.manifest_id, data))
        _age(storage)
        any_kopia.maintenance(safety="none")
    state = epoch.read_state(blob.blob_id for blob in storage.list("x"))
    assert state.write_epoch == 5
    assert sum(name.startswith("xs") for name in state.active) >= 2
    assert {snapshot.manifest_id for snapshot in ours.snapshots()} == {manifest_id for manifest_id, _ in written}
    for manifest_id, data in (written[0], written[30], written[-1]):
        ours.restore(manifest_id, tmp_path / "restored")
        (restored,) = (tmp_path / "restored").iterdir()
        assert restored.read_bytes() == data
        restored.unlink()
    any_kopia.verify()


def _age(storage: FilesystemStorage) -> None:
    """Lets half of the indexes of this epoch look as if they had been written two hours ago."""
    number = epoch.read_state(blob.blob_id for blob in storage.list("x")).write_epoch
    earlier = time.time() - 7200
    blobs = [blob.blob_id for blob in storage.list(f"xn{number}_")]
    for blob_id in blobs[: len(blobs) // 2]:
        [path] = Path(storage.path).rglob(f"*{blob_id[-40:]}.f")
        os.utime(path, (earlier, earlier))
