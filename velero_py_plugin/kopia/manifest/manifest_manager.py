"""Finds, stores and deletes manifests.

Source: kopia v0.23.1 ``repo/manifest``. Every flush writes one content with prefix ``m``: gzip of
``{"entries":[...]}`` and a newline. The newest entry of an id wins; a deletion is an entry without labels and data.
kopia's reader takes nothing but ``entries`` at the top level, and never ``null`` there.
"""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from velero_py_plugin.kopia import errors, ids
from velero_py_plugin.kopia.codec import go_json
from velero_py_plugin.kopia.content import content_manager

_MAX_EXPANDED = 256 << 20  # bytes of one manifest content; guards against a hostile gzip


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One labelled document.

    Attributes:
        manifest_id: 32 hexadecimal digits.
        labels: What it is found by; always has ``type``.
        modified: Nanoseconds since 1970.
        data: The JSON document.
    """

    manifest_id: str
    labels: Mapping[str, str]
    modified: int
    data: Any


class ManifestManager:
    """The manifests of one repository.

    Args:
        contents: Where they are kept.
        now_ns: The clock, nanoseconds since 1970.
    """

    def __init__(self, contents: content_manager.ContentManager, now_ns: Callable[[], int]) -> None:
        self._contents = contents
        self._now_ns = now_ns
        self._committed: dict[str, Manifest] | None = None
        self._pending: dict[str, Manifest | None] = {}  # None marks a deletion

    def find(self, labels: Mapping[str, str]) -> list[Manifest]:
        """Finds the manifests that carry all given labels, oldest first.

        Raises:
            CorruptRepositoryError: A manifest content cannot be read.
        """
        manifests: dict[str, Manifest | None] = {**self._load(), **self._pending}
        found = [
            manifest
            for manifest in manifests.values()
            if manifest is not None and labels.items() <= manifest.labels.items()
        ]
        return sorted(found, key=lambda manifest: (manifest.modified, manifest.manifest_id))

    def put(self, labels: Mapping[str, str], data: Any) -> str:
        """Adds a manifest; it is stored by the next ``flush``.

        Returns:
            The new manifest id.
        """
        manifest_id = ids.new_manifest_id()
        self._pending[manifest_id] = Manifest(manifest_id, dict(labels), self._now_ns(), data)
        return manifest_id

    def delete(self, manifest_id: str) -> None:
        """Removes a manifest; done by the next ``flush``."""
        self._pending[manifest_id] = None

    def flush(self) -> None:
        """Writes what was put and deleted as one content; the caller flushes the contents afterwards."""
        if not self._pending:
            return
        committed = self._load()
        entries: list[dict[str, Any]] = []
        for manifest_id, manifest in self._pending.items():
            if manifest is not None:
                entries.append(
                    {
                        "id": manifest_id,
                        "labels": dict(sorted(manifest.labels.items())),
                        "modified": go_json.format_time(manifest.modified),
                        "data": manifest.data,
                    }
                )
            elif manifest_id in committed:
                # A deletion must be younger than what it deletes, whatever the clocks say.
                modified = max(self._now_ns(), committed[manifest_id].modified + 1)
                entries.append(
                    {
                        "id": manifest_id,
                        "labels": None,
                        "modified": go_json.format_time(modified),
                        "deleted": True,
                        "data": None,
                    }
                )
        if entries:
            plain = go_json.dumps({"entries": entries}) + b"\n"
            self._contents.write(gzip.compress(plain, mtime=0), ids.CONTENT_PREFIX_MANIFEST)
        for manifest_id, manifest in self._pending.items():
            if manifest is not None:
                committed[manifest_id] = manifest
            else:
                committed.pop(manifest_id, None)
        self._pending.clear()

    def refresh(self) -> None:
        """Forgets what was loaded, so that the next ``find`` sees what other clients committed."""
        self._committed = None

    def _load(self) -> dict[str, Manifest]:
        if self._committed is None:
            newest: dict[str, Manifest | int] = {}  # a number is the time of a deletion
            for content_id in self._contents.list(ids.CONTENT_PREFIX_MANIFEST):
                for entry in _entries(self._contents.read(content_id), content_id):
                    manifest_id, modified, manifest = _parse_entry(entry, content_id)
                    known = newest.get(manifest_id)
                    known_time = known.modified if isinstance(known, Manifest) else known
                    if known_time is None or modified > known_time:
                        newest[manifest_id] = manifest if manifest is not None else modified
            self._committed = {key: value for key, value in newest.items() if isinstance(value, Manifest)}
        return self._committed


def _entries(raw: bytes, content_id: str) -> list[Any]:
    try:
        plain = zlib.decompressobj(31).decompress(raw, _MAX_EXPANDED)
    except zlib.error as error:
        raise errors.CorruptRepositoryError(f"the manifest content {content_id} does not expand: {error}") from error
    document = go_json.loads(plain, f"the manifest content {content_id}")
    entries = document.get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise errors.CorruptRepositoryError(f"the manifest content {content_id} has no list of entries")
    return entries


def _parse_entry(entry: Any, content_id: str) -> tuple[str, int, Manifest | None]:
    try:
        manifest_id, modified = entry["id"], go_json.parse_time(entry["modified"])
        labels = entry["labels"] or {}
        if not isinstance(manifest_id, str) or not all(isinstance(value, str) for value in labels.values()):
            raise TypeError("an id or label is not text")
        if entry.get("deleted"):
            return manifest_id, modified, None
        return manifest_id, modified, Manifest(manifest_id, labels, modified, entry.get("data"))
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.CorruptRepositoryError(
            f"the manifest content {content_id} has an entry that cannot be read: {error!r}"
        ) from error
