"""What a mover process prints, and how it ends.

A mover writes one JSON object per line to standard output: any number of ``progress`` objects, then exactly one
``result``. People and controllers read the same lines; diagnostics go to standard error.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Literal, Self


class ExitCode(enum.IntEnum):
    """How a mover process ends."""

    COMPLETED = 0
    FAILED = 1  # trying again is useless until a person changes something
    USAGE = 2  # wrong arguments
    CANCELED = 3  # stopped by SIGTERM or SIGINT before the work was done
    TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h: the same call may succeed later


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the mover is.

    Attributes:
        bytes_done: Bytes of file data that need no more work: read and stored, or known to be unchanged, or restored.
        total_bytes: Bytes to handle altogether, as far as known.
        files_done: Files that need no more work.
        total_files: Files to handle altogether, as far as known.
    """

    bytes_done: int = 0
    total_bytes: int = 0
    files_done: int = 0
    total_files: int = 0

    def to_json(self) -> dict[str, Any]:
        """The line a mover prints."""
        return {"type": "progress", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class MoverResult:
    """How a mover ended.

    Attributes:
        outcome: ``completed``, ``failed`` or ``canceled``.
        snapshot_id: Manifest id of the snapshot written or restored.
        total_bytes: Bytes of file data in the volume.
        incremental_bytes: Bytes of file data that had to be read because they were new or changed (backup), or that
            were written (restore).
        stored_bytes: Bytes added to the repository after deduplication, headers and indexes included (backup only).
        files: Regular files in the volume.
        seconds: Wall time of the move.
        reason: Stable code of the failure, empty on success.
        message: One sentence a person can act on; on success empty, or what could not be carried over.
        temporary: Whether trying again may help.
    """

    outcome: Literal["completed", "failed", "canceled"]
    snapshot_id: str = ""
    total_bytes: int = 0
    incremental_bytes: int = 0
    stored_bytes: int = 0
    files: int = 0
    seconds: float = 0.0
    reason: str = ""
    message: str = ""
    temporary: bool = False

    def to_json(self) -> dict[str, Any]:
        """The last line a mover prints."""
        return {"type": "result", **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Self:
        """Reads a ``result`` line; fields a newer mover may have added are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in line.items() if key in known})
