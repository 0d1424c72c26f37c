"""How blob names become paths in stores that keep them in folders.

Source of the rules: kopia v0.23.1 ``repo/blob/sharded/sharded_parameters.go`` and ``sharded.go``.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from velero_py_plugin.kopia import errors

#: The file at the root of the store that holds the parameters; it is no blob and has no suffix.
PARAMETERS_FILE = ".shards"

#: What the name of every completely written blob ends with.
COMPLETE_SUFFIX = ".f"


@dataclasses.dataclass(frozen=True)
class Sharding:
    """The parameters of one store.

    Attributes:
        default: Lengths of the folder names, outermost first.
        max_non_sharded_length: Blob names up to this length lie in the root folder.
        overrides: Pairs of a blob name prefix and the lengths to use for it; the first that matches wins.
    """

    default: tuple[int, ...] = (1, 3)
    max_non_sharded_length: int = 20
    overrides: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def path(self, blob_id: str) -> str:
        """Returns the file of a blob, relative to the root of the store, with ``/`` between folders."""
        if len(blob_id) <= self.max_non_sharded_length:
            return blob_id + COMPLETE_SUFFIX
        folders: list[str] = []
        rest = blob_id
        for size in self._lengths(blob_id):
            if len(rest) <= size:
                break
            if size:
                folders.append(rest[:size])
                rest = rest[size:]
        return "/".join([*folders, rest + COMPLETE_SUFFIX])

    def _lengths(self, blob_id: str) -> tuple[int, ...]:
        for prefix, lengths in self.overrides:
            if blob_id.startswith(prefix):
                return lengths
        return self.default

    def to_json(self) -> bytes:
        """Returns the text of the parameters file, byte for byte what kopia writes."""
        document: dict[str, Any] = {"default": self.default, "maxNonShardedLength": self.max_non_sharded_length}
        if self.overrides:
            document["overrides"] = [{"prefix": prefix, "shards": lengths} for prefix, lengths in self.overrides]
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> Sharding:
        """Reads the parameters file.

        Raises:
            CorruptRepositoryError: The text is not such a file.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _damaged("it is not JSON") from error
        if not isinstance(document, dict):
            raise _damaged("it is not a JSON object")
        limit = document.get("maxNonShardedLength", 0)
        if not _is_length(limit):
            raise _damaged("maxNonShardedLength is not a number of characters")
        overrides = document.get("overrides")
        if overrides is None:
            overrides = []
        if not isinstance(overrides, list):
            raise _damaged("overrides is not a list")
        return cls(_parse_lengths(document.get("default")), limit, tuple(_parse_override(entry) for entry in overrides))


#: What kopia assumes when the parameters file is missing and the store is not being created.
LEGACY = Sharding(default=(3, 3))


def shows(folder: str, prefix: str) -> bool:
    """Tells whether a folder can hold blobs that start with ``prefix``.

    Args:
        folder: Names of all folders from the root to this one, joined without separator.
        prefix: Start of the wanted blob names.
    """
    return folder.startswith(prefix) or prefix.startswith(folder)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _parse_lengths(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_length(length) for length in value):
        raise _damaged("the shards are not a list of lengths")
    return tuple(value)


def _parse_override(value: object) -> tuple[str, tuple[int, ...]]:
    if not isinstance(value, dict) or not isinstance(value.get("prefix"), str):
        raise _damaged("an override has no prefix")
    return value["prefix"], _parse_lengths(value.get("shards"))


def _damaged(detail: str) -> errors.CorruptRepositoryError:
    return errors.CorruptRepositoryError(
        f"The file {PARAMETERS_FILE} of the repository folder is damaged ({detail}); restore it from a copy."
    )
