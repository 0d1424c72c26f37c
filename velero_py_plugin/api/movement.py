"""The status that DataUpload and DataDownload share.

Source: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v2alpha1/data_upload_types.go``, ``data_download_types.go``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from velero_py_plugin.api.object_meta import parse_time
from velero_py_plugin.api.phase import Phase, phase_of


@dataclasses.dataclass(frozen=True)
class MovementStatus:
    """Where the movement of one volume stands.

    Attributes:
        phase: Phase; ``NEW`` when absent.
        message: Why it failed or was canceled, or what it waits for.
        accepted_at: When a mover took it on, seconds since 1970.
        started_at: When bytes began to move, seconds since 1970.
        completed_at: When it reached a terminal phase, seconds since 1970.
        bytes_done: Bytes that need no more work.
        total_bytes: Bytes to move altogether, as far as known.
    """

    phase: Phase = Phase.NEW
    message: str = ""
    accepted_at: float | None = None
    started_at: float | None = None
    completed_at: float | None = None
    bytes_done: int = 0
    total_bytes: int = 0

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Reads ``status``; whatever is absent keeps its default.

        Raises:
            ValueError: The phase is none of the enumeration, which the API server's schema does not let happen.
        """
        status = resource.get("status") or {}
        progress = status.get("progress") or {}
        return cls(
            phase=phase_of(resource),
            message=status.get("message") or "",
            accepted_at=parse_time(status.get("acceptedTimestamp")),
            started_at=parse_time(status.get("startTimestamp")),
            completed_at=parse_time(status.get("completionTimestamp")),
            bytes_done=progress.get("bytesDone") or 0,
            total_bytes=progress.get("totalBytes") or 0,
        )
