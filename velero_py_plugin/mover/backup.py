"""Backs one volume up, as Velero's own uploader files it.

Source: vmware-tanzu/velero v1.18.1 ``pkg/uploader/kopia/snapshot.go``, ``pkg/datamover/backup_micro_service.go``.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from typing import Final

from velero_py_plugin.api import mover as mover_api
from velero_py_plugin.kopia import errors as kopia_errors
from velero_py_plugin.kopia import repository as kopia_repository
from velero_py_plugin.kopia.blob import location
from velero_py_plugin.kopia.snapshot import snapshot_manifest, upload
from velero_py_plugin.mover.report import Reporter

REQUESTOR: Final = "snapshot-data-upload-download"
_TAGS: Final = {"snapshot-requester": REQUESTOR, "snapshot-uploader": "kopia"}
_DESCRIPTION: Final = "Kopia Uploader"
_PINS: Final = ("velero-pin",)  # keeps kopia's own retention away from snapshots that Velero counts on


@dataclasses.dataclass(frozen=True)
class BackupJob:
    """One volume to back up.

    Attributes:
        repository: URL of the repository.
        password: Its password.
        folder: Where the volume is mounted.
        source_name: ``NAMESPACE/PVC``, what the snapshot is filed under.
        tags: Labels for the manifest beside Velero's own.
        prefer_parent: Manifest id of the snapshot to compare with; empty means the newest of the same volume.
    """

    repository: str
    password: str = dataclasses.field(repr=False)
    folder: str
    source_name: str
    tags: Mapping[str, str]
    prefer_parent: str = ""

    def run(self, reporter: Reporter) -> mover_api.MoverResult:
        """Does the work.

        Raises:
            RepositoryError, StorageUnavailableError: See ``kopia.errors``; nothing is committed.
        """
        started = time.monotonic()
        scan = threading.Thread(
            target=upload.scan, args=(self.folder, reporter.progress, reporter.canceled), name="scan", daemon=True
        )
        with kopia_repository.open_repository(location.open_storage(self.repository), self.password) as repository:
            source = velero_source(self.source_name)
            parent = self._parent(repository, source)
            scan.start()
            uploader = upload.Uploader(repository, progress=reporter.progress, canceled=reporter.canceled)
            snapshot = uploader.upload(
                self.folder,
                source,
                parent=parent,
                description=_DESCRIPTION,
                tags={**_TAGS, **self.tags},
                pins=_PINS,
            )
            summary = snapshot.root_entry.summary
            return mover_api.MoverResult(
                "completed",
                snapshot_id=snapshot.manifest_id,
                total_bytes=summary.size if summary else 0,
                incremental_bytes=reporter.progress.bytes_read,
                stored_bytes=repository.contents.statistics.stored_bytes,
                files=summary.files if summary else 0,
                seconds=round(time.monotonic() - started, 3),
            )

    def _parent(
        self, repository: kopia_repository.Repository, source: snapshot_manifest.Source
    ) -> snapshot_manifest.Snapshot | None:
        if self.prefer_parent:
            try:
                return snapshot_manifest.find_snapshot(repository.manifests, self.prefer_parent)
            except kopia_errors.SnapshotNotFoundError:
                pass  # as Velero does: without the wished parent everything is read
            return None
        complete = [
            snapshot
            for snapshot in snapshot_manifest.list_snapshots(repository.manifests, source, _TAGS)
            if not snapshot.incomplete
        ]
        return complete[-1] if complete else None


def velero_source(source_name: str) -> snapshot_manifest.Source:
    """The source that Velero's data mover files a claim under."""
    return snapshot_manifest.Source(
        kopia_repository.HOSTNAME, kopia_repository.USERNAME, f"{REQUESTOR}/kopia/{source_name}"
    )
