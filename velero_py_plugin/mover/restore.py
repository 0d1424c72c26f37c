"""Restores one volume."""

from __future__ import annotations

import contextlib
import dataclasses
import time

from velero_py_plugin.api import mover as mover_api
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob import location
from velero_py_plugin.kopia.snapshot import restore, snapshot_manifest
from velero_py_plugin.kopia.snapshot.restore_target import RestoreTarget
from velero_py_plugin.mover.report import Reporter


@dataclasses.dataclass(frozen=True)
class RestoreJob:
    """One volume to restore.

    Attributes:
        repository: URL of the repository.
        password: Its password.
        snapshot_id: Manifest id of the snapshot.
        folder: Where the empty volume is mounted.
        sparse: Leave blocks of zeros unwritten.
    """

    repository: str
    password: str = dataclasses.field(repr=False)
    snapshot_id: str
    folder: str
    sparse: bool = False

    def run(self, reporter: Reporter) -> mover_api.MoverResult:
        """Does the work.

        Raises:
            RepositoryError, StorageUnavailableError: See ``kopia.errors``; what was written before stays.
        """
        started = time.monotonic()
        with kopia_repository.open_repository(location.open_storage(self.repository), self.password) as repository:
            snapshot = snapshot_manifest.find_snapshot(repository.manifests, self.snapshot_id)
            with contextlib.closing(RestoreTarget(self.folder, sparse=self.sparse)) as target:
                restorer = restore.Restorer(repository, target, progress=reporter.progress, canceled=reporter.canceled)
                result = restorer.restore(snapshot.root_entry)
        return mover_api.MoverResult(
            "completed",
            snapshot_id=snapshot.manifest_id,
            total_bytes=result.bytes_written,
            incremental_bytes=result.bytes_written,
            files=result.files,
            seconds=round(time.monotonic() - started, 3),
            message=(
                f"{result.attributes_not_restored} owners, modes, times or names could not be restored as they were"
                if result.attributes_not_restored
                else ""
            ),
        )
