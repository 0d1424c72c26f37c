"""The phases that DataUpload and DataDownload share.

Source: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v2alpha1/data_upload_types.go``. An object without a phase counts
as new; the empty string is not a legal value of the field.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any


class Phase(enum.StrEnum):
    """Where a DataUpload or DataDownload stands."""

    NEW = "New"
    ACCEPTED = "Accepted"
    PREPARED = "Prepared"
    IN_PROGRESS = "InProgress"
    CANCELING = "Canceling"
    CANCELED = "Canceled"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def terminal(self) -> bool:
        """Whether nothing will ever change any more."""
        return self in (Phase.CANCELED, Phase.COMPLETED, Phase.FAILED)


def phase_of(resource: Mapping[str, Any]) -> Phase:
    """Reads the phase of a DataUpload or DataDownload object; absent and empty mean ``NEW``."""
    return Phase((resource.get("status") or {}).get("phase") or Phase.NEW)
