"""Backs up or restores as a user without privileges, in a process of its own: permissions do not stop root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

from tests.unit.kopia.sample import SOURCE, open_in
from velero_py_plugin import errors
from velero_py_plugin.kopia.blob.filesystem import FilesystemStorage
from velero_py_plugin.kopia.blob.storage import Storage
from velero_py_plugin.kopia.snapshot import restore, snapshot_manifest, upload
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget
from velero_py_plugin.testing.memory_storage import MemoryStorage

_NOBODY = 65534


def run_unprivileged(action: str, folder: Path, repository: Path | None = None) -> dict[str, Any]:
    """Runs one action of this module below; a root test run becomes nobody for it.

    Args:
        action: ``upload`` stores the folder in memory, ``restore`` writes the latest snapshot to it.
        folder: The folder.
        repository: Where to restore from.

    Returns:
        What the action printed.
    """
    folder.parent.chmod(0o755)
    arguments = [sys.executable, "-W", "error", "-m", __name__, action, str(folder), str(repository or "")]
    done = subprocess.run(arguments, check=True, capture_output=True, timeout=60, cwd=Path(__file__).parents[3])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _upload(folder: str) -> dict[str, Any]:
    storage = MemoryStorage()
    result: dict[str, Any] = {}
    with open_in(storage) as opened:
        try:
            upload.Uploader(opened).upload(folder, SOURCE)
        except errors.Error as error:
            result = {"error": type(error).__name__, "message": str(error)}
    with open_in(storage) as opened:
        result["committed"] = opened.contents.count()
    return result


def restore_latest(storage: Storage, folder: str) -> dict[str, Any]:
    """Restores the latest snapshot of a repository and tells how that went."""
    with open_in(storage) as opened:
        snapshot = snapshot_manifest.find_snapshot(opened.manifests, "latest")
        try:
            target = RestoreTarget(folder)
            result = restore.Restorer(opened, target).restore(snapshot.root_entry)
        except errors.Error as error:
            return {"error": type(error).__name__, "message": str(error)}
    return {"files": result.files, "attributes_not_restored": result.attributes_not_restored}


def _main(action: str, path: str, repository: str) -> None:
    storage = MemoryStorage()
    if repository:
        stored = FilesystemStorage(repository)
        for blob in stored.list():
            storage.put(blob.blob_id, stored.get(blob.blob_id))
    # Nobody else may enter the folders above; what is below is reached from here.
    parent, folder = os.path.split(path)
    os.chdir(parent)
    if os.geteuid() == 0:
        futures.ThreadPoolExecutor().shutdown()  # loads its module, which nobody may not be allowed to read
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    json.dump(_upload(folder) if action == "upload" else restore_latest(storage, folder), sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
