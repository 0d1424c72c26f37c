"""A plugin whose actions do what the object's ``spec.do`` says; ``fix_velero`` makes it an executable."""

from __future__ import annotations

import datetime
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any

from velero_py_plugin import errors
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.serve import serve

logger = logging.getLogger(__name__)
STARTED = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
SECRET = kinds.ResourceIdentifier("", "secrets", "shop", "key")
UPLOAD = kinds.ResourceIdentifier("velero.io", "datauploads", "velero", "du-1")


class Unraisable:
    def __del__(self) -> None:
        raise ValueError("in a destructor")


def fail_in_thread() -> None:
    raise RuntimeError("in a thread")


def act(item: dict[str, Any]) -> None:
    """Does what the object says."""
    match (item.get("spec") or {}).get("do"):
        case "fail":
            raise errors.PermanentError("the claim has no snapshot class")
        case "bug":
            raise KeyError("missing")
        case "exit":
            sys.exit(3)
        case "block":
            logger.info("blocking")
            threading.Event().wait()
        case "log":
            logger.info("about an object", extra={"namespace": None, "resource": 5, "level": "high"})
            logger.debug("details")
        case "say":
            sys.stdout.write("printed\n")
            sys.stderr.write("complained\n")
            subprocess.run(["sh", "-c", "echo from a subprocess; echo and its errors >&2"], check=True)
            warnings.warn("old way", DeprecationWarning, stacklevel=1)
            warnings.warn("strange value", UserWarning, stacklevel=1)
        case "raise elsewhere":
            thread = threading.Thread(target=fail_in_thread, name="worker")
            thread.start()
            thread.join()
            Unraisable()
        case "leave a subprocess":
            child = subprocess.Popen(["sleep", "60"])
            logger.info("subprocess %d", child.pid)


class SampleBackup(kinds.BackupItemActionV2):
    def __init__(self, resource: str = "configmaps") -> None:
        self._resource = resource

    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector(
            included_namespaces=("shop",),
            excluded_namespaces=("kube-system",),
            included_resources=(self._resource,),
            excluded_resources=("pods",),
            label_selector="app=web",
        )

    def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
        act(request.item)
        if (request.item.get("spec") or {}).get("do") == "change":
            request.item["metadata"]["annotations"] = {"example.io/backup": request.backup["metadata"]["name"]}
            return kinds.BackupItemActionResult(request.item, [SECRET], "op-1", [UPLOAD])
        return kinds.BackupItemActionResult()

    def progress(self, operation_id: str, backup: dict[str, Any]) -> kinds.OperationProgress:
        if operation_id != "op-1":
            raise kinds.InvalidOperationIDError(operation_id)
        return kinds.OperationProgress(n_completed=3, n_total=2**53 + 1, operation_units="Bytes", started=STARTED)


class SampleRestore(kinds.RestoreItemActionV2):
    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector(included_resources=("persistentvolumeclaims",))

    def execute(self, request: kinds.RestoreItemActionRequest) -> kinds.RestoreItemActionResult:
        act(request.item)
        if (request.item.get("spec") or {}).get("do") == "skip":
            return kinds.RestoreItemActionResult(skip_restore=True)
        request.item["metadata"]["annotations"] = {
            "example.io/volume": request.item_from_backup["spec"]["volumeName"],
            "example.io/restore": request.restore["metadata"]["name"],
        }
        return kinds.RestoreItemActionResult(
            request.item,
            [SECRET],
            operation_id="op-2",
            wait_for_additional_items=True,
            additional_items_ready_timeout=datetime.timedelta(seconds=90, milliseconds=5),
        )

    def progress(self, operation_id: str, restore: dict[str, Any]) -> kinds.OperationProgress:
        return kinds.OperationProgress(completed=True, error="disk full", updated=STARTED)

    def are_additional_items_ready(
        self, additional_items: Sequence[kinds.ResourceIdentifier], restore: dict[str, Any]
    ) -> bool:
        return SECRET in additional_items


class Plain(kinds.BackupItemActionV2):
    """Nothing but what an action must have."""

    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector()

    def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
        return kinds.BackupItemActionResult(operation_id=str(time.monotonic()))


class Unready(Plain):
    """Cannot be made before the file exists that the environment names."""

    def __init__(self) -> None:
        with open(os.environ["SAMPLE_READY_FILE"], encoding="utf-8"):
            pass


if __name__ == "__main__":
    serve(
        {
            "example.io/backup": SampleBackup,
            "example.io/restore": SampleRestore,
            "example.io/a-plain": Plain,
            "example.io/unready": Unready,
        }
    )
