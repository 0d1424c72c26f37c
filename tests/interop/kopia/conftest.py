"""One folder, one repository, and both programs that use it: this project's library and the real kopia."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.fix_kopia import Kopia
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob.location import open_storage
from velero_py_plugin.kopia.repository import Repository
from velero_py_plugin.kopia.snapshot import restore, snapshot_manifest, upload
from velero_py_plugin.kopia.snapshot.progress import Progress
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget
from velero_py_plugin.kopia.snapshot.snapshot_manifest import Snapshot, Source
from velero_py_plugin.testing.tree import compare_trees, generate_tree


class Ours:
    """This project as a client of a repository that kopia uses as well.

    Args:
        url: Where the repository is.
        kopia: Whose password and identity to use.
    """

    def __init__(self, url: str, kopia: Kopia) -> None:
        self.url = url
        self._kopia = kopia

    def create(self) -> None:
        """Makes the repository."""
        kopia_repository.prepare_repository(self.url, self._kopia.password)

    def open(self) -> Repository:
        """Opens the repository."""
        return kopia_repository.open_repository(open_storage(self.url), self._kopia.password)

    def source(self, folder: Path) -> Source:
        """What kopia files snapshots of the folder under."""
        return Source(self._kopia.host, self._kopia.user, str(folder))

    def back_up(self, folder: Path) -> tuple[Snapshot, Progress]:
        """Backs a folder up under kopia's identity, compared with the newest snapshot of it, whoever made that."""
        source, progress = self.source(folder), Progress()
        with self.open() as opened:
            found = snapshot_manifest.list_snapshots(opened.manifests, source)
            snapshot = upload.Uploader(opened, progress=progress).upload(
                str(folder), source, parent=found[-1] if found else None
            )
        return snapshot, progress

    def restore(self, name: str, target: Path, path: str = "") -> None:
        """Restores a snapshot, or a path in it, to a new folder."""
        with self.open() as opened, contextlib.closing(RestoreTarget(str(target))) as restored:
            root = snapshot_manifest.find_snapshot(opened.manifests, name).root_entry
            restore.Restorer(opened, restored).restore(restore.find_entry(opened, root, path))

    def snapshots(self) -> list[Snapshot]:
        """All snapshots, oldest first."""
        with self.open() as opened:
            return snapshot_manifest.list_snapshots(opened.manifests)

    def forget(self, name: str) -> None:
        """Removes a snapshot."""
        with self.open() as opened:
            opened.manifests.delete(name)
            opened.flush()


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like those of applications; not to be changed."""
    folder = tmp_path_factory.mktemp("pristine") / "volume"
    generate_tree(folder, files=250, large_file_bytes=9 << 20)
    return folder


@pytest.fixture
def volume(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    copy_tree(pristine, tmp_path / "volume")
    return tmp_path / "volume"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/repository"


@pytest.fixture
def ours(url: str, any_kopia: Kopia) -> Ours:
    """This project beside each version of kopia; there is no repository yet."""
    return Ours(url, any_kopia)


def copy_tree(source: Path, target: Path) -> None:
    """Copies a folder with owners, modes, times, links and holes."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def assert_same(expected: Path, found: Path, *, by_kopia: bool = False) -> None:
    """Holds a restored folder against what it should be, and removes it.

    Args:
        expected: What was backed up.
        found: What was restored.
        by_kopia: Whether kopia restored it. It gives folders the time of the latest file in them, and links times of
            whole microseconds.
    """
    differences = [
        difference
        for difference in compare_trees(expected, found, directory_times=not by_kopia)
        if not (
            by_kopia and difference.what == "mtime" and _is_rounded(expected / difference.path, found / difference.path)
        )
    ]
    assert differences == [], "\n".join(str(difference) for difference in differences[:20])
    shutil.rmtree(found)


def _is_rounded(expected: Path, found: Path) -> bool:
    return expected.is_symlink() and abs(expected.lstat().st_mtime_ns - found.lstat().st_mtime_ns) < 1000


def snapshot_by(kopia: Kopia, folder: Path) -> dict[str, Any]:
    """Has kopia back a folder up; returns the manifest with all it has."""
    manifest_id = kopia.snapshot(folder)["id"]
    [manifest] = [manifest for manifest in kopia.snapshots() if manifest["id"] == manifest_id]
    return manifest
