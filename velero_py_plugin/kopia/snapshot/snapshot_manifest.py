"""Snapshot manifests: saving, listing, finding.

Source: kopia v0.23.1 ``snapshot/manifest.go``, ``snapshot/manager.go``. kopia skips a manifest it cannot unmarshal, and
its maintenance then removes the data; so what is written here keeps to Go's types and key order.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.manifest import manifest_manager
from velero_py_plugin.kopia.snapshot.directory import DirectoryEntry

_RESERVED_LABELS: Final = frozenset({"type", "hostname", "username", "path"})
LATEST: Final = "latest"
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Source:
    """What a snapshot was taken of.

    Attributes:
        hostname: Host part, ``default`` in Velero's snapshots.
        username: User part, ``default`` in Velero's snapshots.
        path: A path or, in Velero's snapshots, a name such as ``snapshot-data-upload-download/kopia/NAMESPACE/PVC``.
    """

    hostname: str
    username: str
    path: str

    def __str__(self) -> str:
        return f"{self.username}@{self.hostname}:{self.path}"


@dataclasses.dataclass
class UploadStatistics:
    """Counts of one upload, kopia's ``stats``.

    Attributes:
        total_size: Bytes in all files, read or reused.
        file_count: Files that were read.
        cached_files: Files and links reused from the previous snapshot.
        non_cached_files: Files that were read; kopia counts parts here, we do not upload in parts.
        dir_count: Directories, the root included.
        excluded_file_count: Entries left out because they are neither file, directory nor link.
    """

    total_size: int = 0
    file_count: int = 0
    cached_files: int = 0
    non_cached_files: int = 0
    dir_count: int = 0
    excluded_file_count: int = 0

    def to_json(self) -> dict[str, int]:
        """Kopia's names and order."""
        return {
            "totalSize": self.total_size,
            "excludedTotalSize": 0,
            "fileCount": self.file_count,
            "cachedFiles": self.cached_files,
            "nonCachedFiles": self.non_cached_files,
            "dirCount": self.dir_count,
            "excludedFileCount": self.excluded_file_count,
            "excludedDirCount": 0,
            "ignoredErrorCount": 0,
            "errorCount": 0,
        }


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot as its manifest describes it.

    Attributes:
        manifest_id: Names it; empty before it is saved.
        source: What it was taken of.
        start_time: Nanoseconds since 1970.
        end_time: Nanoseconds since 1970.
        root_entry: The root directory.
        description: Free text.
        tags: Labels; stored in the manifest and as labels of it.
        pins: Names that keep kopia from expiring it.
        incomplete: Why it is not whole, empty when it is.
        statistics: Kopia's ``stats`` object as stored.
    """

    manifest_id: str
    source: Source
    start_time: int
    end_time: int
    root_entry: DirectoryEntry
    description: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pins: tuple[str, ...] = ()
    incomplete: str = ""
    statistics: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The manifest's data in kopia's order; the id is always empty in it."""
        data: dict[str, Any] = {
            "id": "",
            "source": {"host": self.source.hostname, "userName": self.source.username, "path": self.source.path},
            "description": self.description,
            "startTime": go_json.format_time(self.start_time),
            "endTime": go_json.format_time(self.end_time),
            "stats": dict(self.statistics),
        }
        if self.incomplete:
            data["incomplete"] = self.incomplete
        data["rootEntry"] = self.root_entry.to_json()
        if self.tags:
            data["tags"] = dict(sorted(self.tags.items()))
        if self.pins:
            data["pins"] = sorted(self.pins)
        return data

    @classmethod
    def from_manifest(cls, manifest: manifest_manager.Manifest) -> Snapshot:
        """Reads a manifest's data.

        Raises:
            CorruptRepositoryError: It is not a snapshot.
        """
        data = manifest.data
        try:
            source = data["source"]
            return cls(
                manifest_id=manifest.manifest_id,
                source=Source(_text(source["host"]), _text(source["userName"]), _text(source["path"])),
                start_time=go_json.parse_time(data["startTime"]),
                end_time=go_json.parse_time(data["endTime"]),
                root_entry=DirectoryEntry.from_json(data["rootEntry"], root=True),
                description=_text(data.get("description", "")),
                tags={key: _text(value) for key, value in (data.get("tags") or {}).items()},
                pins=tuple(_text(pin) for pin in data.get("pins") or ()),
                incomplete=_text(data.get("incomplete", "")),
                statistics=dict((data.get("stats") or {}).items()),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise errors.CorruptRepositoryError(
                f"the snapshot manifest {manifest.manifest_id} cannot be read: {error!r}"
            ) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def save(manifests: manifest_manager.ManifestManager, snapshot: Snapshot) -> Snapshot:
    """Stores a snapshot; it is visible after the next flush of the repository.

    Raises:
        ValueError: A tag has the name of one of kopia's own labels, or the source has an empty part.
    """
    source = snapshot.source
    if _RESERVED_LABELS & snapshot.tags.keys() or not (source.hostname and source.username and source.path):
        raise ValueError(f"a snapshot of {source} with tags {sorted(snapshot.tags)} cannot be saved")
    labels = {
        "type": "snapshot",
        "hostname": source.hostname,
        "username": source.username,
        "path": source.path,
        **snapshot.tags,
    }
    return dataclasses.replace(snapshot, manifest_id=manifests.put(labels, snapshot.to_json()))


def list_snapshots(
    manifests: manifest_manager.ManifestManager,
    source: Source | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[Snapshot]:
    """Lists snapshots, oldest first, of one source and with the given tags when they are given."""
    labels = {"type": "snapshot", **(tags or {})}
    if source is not None:
        labels |= {"hostname": source.hostname, "username": source.username, "path": source.path}
    snapshots = []
    for manifest in manifests.find(labels):
        try:
            snapshots.append(Snapshot.from_manifest(manifest))
        except errors.CorruptRepositoryError as error:
            # One bad manifest must not hide the good ones; kopia skips it as well.
            _LOG.warning("skipped the snapshot %s: %s", manifest.manifest_id, error)
    return sorted(snapshots, key=lambda snapshot: snapshot.start_time)


def find_snapshot(manifests: manifest_manager.ManifestManager, name: str) -> Snapshot:
    """Finds a snapshot by its manifest id, or the newest complete one by the name ``latest``.

    Raises:
        SnapshotNotFoundError: There is none.
    """
    snapshots = list_snapshots(manifests)
    if name == LATEST:
        complete = [snapshot for snapshot in snapshots if not snapshot.incomplete]
        if not complete:
            raise errors.SnapshotNotFoundError("the repository has no complete snapshot")
        return complete[-1]
    for snapshot in snapshots:
        if snapshot.manifest_id == name:
            return snapshot
    raise errors.SnapshotNotFoundError(f"the repository has no snapshot {name!r}; it has {len(snapshots)} others")
