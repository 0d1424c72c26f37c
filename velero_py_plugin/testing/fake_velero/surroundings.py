"""What a backup and a restore run in: the cluster, the storage, the plugin executable and the clock."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.plugin.kinds import OperationProgress
from velero_py_plugin.testing.csi_directory import DirectoryCsi
from velero_py_plugin.testing.fake_velero.operation import Operation, OperationAction
from velero_py_plugin.testing.plugin_host import PluginHost

SERVER_ARGUMENTS: Final = ("--features=EnableCSI",)
"""What followed ``velero server`` on its command line; plugins get the same."""

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Everything around one backup or restore.

    Attributes:
        kube: The cluster.
        csi: The storage and its controllers.
        command: Path of the plugin executable.
        environ: Environment of the plugin.
        namespace: Velero's namespace.
        poll_interval: Seconds between two looks at anything.
        snapshot_timeout: Seconds a snapshot may take to get a handle.
        operation_timeout: Seconds an asynchronous operation may take.
        resource_timeout: Seconds a restored claim may take to be bound.
        on_step: Told what happens, a sentence at a time.
        on_progress: Told what the plugin answers about an operation.
    """

    kube: KubeClient
    csi: DirectoryCsi
    command: str | os.PathLike[str]
    environ: Mapping[str, str]
    namespace: str
    poll_interval: float
    snapshot_timeout: float
    operation_timeout: float
    resource_timeout: float
    on_step: Callable[[str], None]
    on_progress: Callable[[OperationProgress], None]

    def plugin(self) -> PluginHost:
        """A new plugin process, not yet started."""
        return PluginHost(self.command, SERVER_ARGUMENTS, environ=self.environ)

    def set_phase(self, resource: ResourceType, owner: dict[str, Any], phase: str) -> dict[str, Any]:
        """Writes the phase of a Backup or Restore and returns the object."""
        self.on_step(f"{resource.kind} {owner['metadata']['name']}: {phase}")
        return self.kube.merge_patch(
            resource, owner["metadata"]["name"], {"status": {"phase": phase}}, owner["metadata"]["namespace"]
        )

    def wait_for(self, condition: Callable[[], _T | None], timeout: float) -> _T | None:
        """Lets the storage work until a condition gives something, at most ``timeout`` seconds; else None."""
        deadline = time.monotonic() + timeout
        while True:
            self.csi.settle()
            value = condition()
            if value is not None or time.monotonic() >= deadline:
                return value
            time.sleep(self.poll_interval)

    def look(
        self, operations: Sequence[Operation], owner: dict[str, Any], action_of: Callable[[str], OperationAction]
    ) -> bool:
        """Looks once at every operation that still runs; returns whether any is left."""
        for operation in operations:
            if operation.running:
                progress = operation.look(action_of(operation.action), owner, self.operation_timeout)
                if progress is not None and not operation.action.startswith("velero.io/"):
                    self.on_progress(progress)
                if not operation.running:
                    outcome = f"{operation.phase}: {operation.error}" if operation.error else operation.phase
                    self.on_step(f"Operation of {operation.action} on {operation.item.name}: {outcome}")
        return any(operation.running for operation in operations)

    def wait_for_operations(
        self,
        operations: Sequence[Operation],
        owner: dict[str, Any],
        action_of: Callable[[PluginHost, str], OperationAction],
    ) -> None:
        """Looks at the operations until none runs, each time with a fresh plugin process.

        As ``pkg/controller/backup_operations_controller.go`` does: no process outlives one look.
        """
        running = True
        while running:
            time.sleep(self.poll_interval)
            self.csi.settle()
            with self.plugin() as host:
                running = self.look(operations, owner, functools.partial(action_of, host))
