"""What a plugin author writes: one base class per plugin kind, and the values that go in and out.

No gRPC in sight: importing this package costs milliseconds and needs nothing but the standard library.
"""

from velero_py_plugin.plugin.kinds.backup_item_action_v2 import (
    BackupItemActionRequest,
    BackupItemActionResult,
    BackupItemActionV2,
)
from velero_py_plugin.plugin.kinds.errors import AsyncOperationsNotSupportedError, InvalidOperationIDError
from velero_py_plugin.plugin.kinds.operation_progress import OperationProgress
from velero_py_plugin.plugin.kinds.resource_identifier import ResourceIdentifier
from velero_py_plugin.plugin.kinds.resource_selector import ResourceSelector
from velero_py_plugin.plugin.kinds.restore_item_action_v2 import (
    RestoreItemActionRequest,
    RestoreItemActionResult,
    RestoreItemActionV2,
)

__all__ = [
    "AsyncOperationsNotSupportedError",
    "BackupItemActionRequest",
    "BackupItemActionResult",
    "BackupItemActionV2",
    "InvalidOperationIDError",
    "OperationProgress",
    "ResourceIdentifier",
    "ResourceSelector",
    "RestoreItemActionRequest",
    "RestoreItemActionResult",
    "RestoreItemActionV2",
]
