"""The folders a blob's file lies in.

Source: kopia v0.23.1 ``repo/blob/sharded``. The file ``.shards`` at the root says how long the folder names are that a
blob's name is cut into: ``{"default":[1,3],"maxNonShardedLength":20}`` puts ``p677aeb...`` at ``p/677/aeb....f``. Names
up to ``maxNonShardedLength`` characters lie at the root. The first of ``overrides`` whose prefix matches replaces the
default.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import orjson

from velero_py_plugin.kopia import errors

SHARDS_FILE: Final = ".shards"
SUFFIX: Final = ".f"


@dataclasses.dataclass(frozen=True)
class Sharding:
    """How names become paths.

    Attributes:
        default: Lengths of the folder names.
        max_non_sharded_length: Names up to this length have no folders.
        overrides: Pairs of blob name prefix and its own lengths.
    """

    default: tuple[int, ...] = (1, 3)
    max_non_sharded_length: int = 20
    overrides: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def path(self, blob_id: str) -> str:
        """The path of a blob's file, relative to the root."""
        if len(blob_id) <= self.max_non_sharded_length:
            return blob_id + SUFFIX
        shards = next((lengths for prefix, lengths in self.overrides if blob_id.startswith(prefix)), self.default)
        parts = []
        rest = blob_id
        for length in shards:
            if len(rest) <= length:
                break
            parts.append(rest[:length])
            rest = rest[length:]
        return "/".join([*parts, rest + SUFFIX])

    def to_bytes(self) -> bytes:
        """The contents of ``.shards``."""
        value: dict[str, Any] = {"default": list(self.default), "maxNonShardedLength": self.max_non_sharded_length}
        if self.overrides:
            value["overrides"] = [{"prefix": prefix, "shards": list(lengths)} for prefix, lengths in self.overrides]
        return orjson.dumps(value) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Sharding:
        """Reads ``.shards``.

        Raises:
            CorruptRepositoryError: It is not what kopia writes.
        """
        try:
            value = orjson.loads(data)
            return cls(
                _lengths(value["default"]),
                int(value.get("maxNonShardedLength", 0)),
                tuple((str(entry["prefix"]), _lengths(entry["shards"])) for entry in value.get("overrides") or ()),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise errors.CorruptRepositoryError(f"the file {SHARDS_FILE} cannot be read: {error!r}") from error


def _lengths(value: Any) -> tuple[int, ...]:
    lengths = tuple(int(length) for length in value or ())
    if any(length <= 0 for length in lengths):
        raise ValueError("a shard length is not positive")
    return lengths
