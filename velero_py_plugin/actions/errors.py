"""What the plugin's own actions refuse, and why."""

from __future__ import annotations

from typing import ClassVar

from velero_py_plugin.errors import PermanentError


class OperationMissingError(PermanentError):
    """The object that an operation id names does not exist any more."""

    reason: ClassVar[str] = "OperationMissing"


class DuplicateOperationError(PermanentError):
    """Several objects carry one operation id, so none of them can be trusted."""

    reason: ClassVar[str] = "DuplicateOperation"


class SourceIncompleteError(PermanentError):
    """A claim or snapshot lacks something its upload cannot do without."""

    reason: ClassVar[str] = "SourceIncomplete"


class UploadResultInvalidError(PermanentError):
    """What Velero kept about an upload is ambiguous or unreadable."""

    reason: ClassVar[str] = "UploadResultInvalid"


class NoUsableCopyError(PermanentError):
    """A claim has neither a completed upload nor a local snapshot to restore from."""

    reason: ClassVar[str] = "NoUsableCopy"
