from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from velero_py_plugin import errors
from velero_py_plugin.plugin import kinds


class Backup(kinds.BackupItemActionV2):
    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector()

    def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
        return kinds.BackupItemActionResult()


class Restore(kinds.RestoreItemActionV2):
    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector()

    def execute(self, request: kinds.RestoreItemActionRequest) -> kinds.RestoreItemActionResult:
        return kinds.RestoreItemActionResult()


def test_exports() -> None:
    assert kinds.__all__ == [
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


def test_importing_kinds_loads_neither_grpc_nor_protobuf() -> None:
    program = (
        "import sys, velero_py_plugin.plugin.kinds; print('grpc' in sys.modules, 'google.protobuf' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ran.stdout == "False False\n"


@pytest.mark.parametrize("action", [Backup(), Restore()])
def test_an_action_without_operations_says_so(action: Any) -> None:
    with pytest.raises(kinds.AsyncOperationsNotSupportedError) as caught:
        action.progress("op-1", {})
    assert str(caught.value) == "Plugin does not support asynchronous operations"
    assert isinstance(caught.value, errors.PermanentError)
    action.cancel("op-1", {})  # nothing to stop is no error


def test_additional_items_are_ready_unless_the_action_says_otherwise() -> None:
    assert Restore().are_additional_items_ready((), {}) is True


def test_the_text_about_an_unknown_operation_is_velero_s() -> None:
    error = kinds.InvalidOperationIDError("op-9")
    assert str(error) == "operation ID op-9 is invalid"
    assert error.operation_id == "op-9"
    assert isinstance(error, errors.PermanentError)
