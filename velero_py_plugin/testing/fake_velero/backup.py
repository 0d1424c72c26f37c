"""One claim backed up.

Source: vmware-tanzu/velero v1.18.1 ``pkg/backup/backup.go``, ``pkg/backup/item_backupper.go``,
``pkg/controller/{backup,backup_operations,backup_finalizer}_controller.go``; the order of actions and objects as
observed on Velero 1.18.3.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Final

from velero_py_plugin.api.names import STORAGE_LOCATION_LABEL
from velero_py_plugin.api.resource import BACKUP, PVC
from velero_py_plugin.errors import Error
from velero_py_plugin.kube.errors import NotFoundError
from velero_py_plugin.plugin.kinds import ResourceIdentifier, ResourceSelector
from velero_py_plugin.testing.fake_velero.csi_backup_actions import (
    FINALIZING_PHASES,
    BackupAction,
    CsiPVCBackupAction,
    CsiVolumeSnapshotBackupAction,
    PVBackupAction,
)
from velero_py_plugin.testing.fake_velero.operation import Operation, OperationAction
from velero_py_plugin.testing.fake_velero.selection import selects
from velero_py_plugin.testing.fake_velero.surroundings import Surroundings
from velero_py_plugin.testing.fake_velero.tarball import BackupTarball, identifier_of, path_in_tarball, resource_of
from velero_py_plugin.testing.plugin_host import PluginHost

_SNAPSHOT_ACTION: Final = "velero.io/csi-volumesnapshot-backupper"


@dataclasses.dataclass(frozen=True)
class BackupOutcome:
    """What a backup leaves in the backup storage location.

    Attributes:
        backup: The Backup with its final phase (``velero-backup.json``).
        tarball: The stored objects.
        operations: The asynchronous operations, Velero's own included.
        errors: What makes the backup partially failed.
        warnings: Warnings the plugin logged.
    """

    backup: dict[str, Any]
    tarball: BackupTarball
    operations: tuple[Operation, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def phase(self) -> str:
        """``Completed`` or ``PartiallyFailed``."""
        return str(self.backup["status"]["phase"])


class BackupRun:
    """The state of a backup while it runs.

    Args:
        around: What it runs in.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        # Velero's own actions in the order they run.
        self._in_tree: dict[str, BackupAction] = {
            "velero.io/pv": PVBackupAction(),
            "velero.io/csi-pvc-backupper": CsiPVCBackupAction(around.kube, around.wait_for, around.snapshot_timeout),
            _SNAPSHOT_ACTION: CsiVolumeSnapshotBackupAction(around.kube),
        }
        self._backup: dict[str, Any] = {}
        self._actions: list[tuple[str, BackupAction, ResourceSelector]] = []
        self._done: set[ResourceIdentifier] = set()
        self._tarball: BackupTarball = {}
        self._operations: list[Operation] = []
        self._errors: list[str] = []
        self._warnings: list[str] = []

    def run(self, name: str, claim_namespace: str, claim_name: str, storage_location: str) -> BackupOutcome:
        """Backs one claim up, waits for its operations, and finalizes the backup."""
        self._backup = self._create(name, claim_namespace, storage_location)
        self._set_phase("InProgress")
        with self._around.plugin() as host:
            self._resolve_actions(host)
            claim = self._around.kube.get(PVC, claim_name, claim_namespace)
            self._execute_actions(identifier_of(PVC, claim), claim)
            running = self._around.look(self._operations, self._backup, functools.partial(self._action_of, host))
        self._count_log_lines(host)
        if running:
            self._set_phase("WaitingForPluginOperations")
            self._around.wait_for_operations(self._operations, self._backup, self._action_of)
        self._errors += [operation.error for operation in self._operations if operation.phase == "Failed"]
        if self._operations:
            self._finalize()
        self._set_phase("PartiallyFailed" if self._errors else "Completed")
        return BackupOutcome(
            self._backup, self._tarball, tuple(self._operations), tuple(self._errors), tuple(self._warnings)
        )

    def _create(self, name: str, claim_namespace: str, storage_location: str) -> dict[str, Any]:
        """The Backup as ``prepareBackupRequest`` of ``pkg/controller/backup_controller.go`` completes it."""
        body = {
            "metadata": {"name": name, "labels": {STORAGE_LOCATION_LABEL: storage_location}},
            "spec": {
                "includedNamespaces": [claim_namespace],
                "storageLocation": storage_location,
                "snapshotMoveData": False,
                "csiSnapshotTimeout": _duration(self._around.snapshot_timeout),
                "itemOperationTimeout": _duration(self._around.operation_timeout),
            },
        }
        return self._around.kube.create(BACKUP, body, self._around.namespace)

    def _set_phase(self, phase: str) -> None:
        self._backup = self._around.set_phase(BACKUP, self._backup, phase)

    def _resolve_actions(self, host: PluginHost) -> None:
        """In-tree actions come first, then the plugin's in the order of its list (``pkg/plugin/framework``)."""
        actions: dict[str, BackupAction] = {**self._in_tree}
        for plugin in host.list_plugins():
            if plugin.kind == "BackupItemActionV2":
                actions[plugin.name] = host.backup_item_action(plugin.name)
        self._actions = [(name, action, action.applies_to()) for name, action in actions.items()]

    def _action_of(self, host: PluginHost, name: str) -> OperationAction:
        if name == _SNAPSHOT_ACTION:
            return CsiVolumeSnapshotBackupAction(self._around.kube)
        return host.backup_item_action(name)

    def _back_up(self, identifier: ResourceIdentifier) -> bool:
        """Backs up an additional item (``backupItem``); whether nothing went wrong. A missing object is no failure."""
        try:
            item = self._around.kube.get(resource_of(identifier), identifier.name, identifier.namespace or None)
        except NotFoundError as error:
            self._warnings.append(str(error))
            return True
        return self._execute_actions(identifier, item)

    def _execute_actions(self, identifier: ResourceIdentifier, item: dict[str, Any]) -> bool:
        """Runs an object's actions, each followed by its additional items (``executeActions``).

        An error of an action, or of an additional item, keeps the object out of the backup.
        """
        if identifier in self._done:
            return True
        self._done.add(identifier)
        resource = resource_of(identifier)
        for name, action, selector in self._actions:
            if not selects(selector, resource, identifier.namespace):
                continue
            self._around.on_step(f"{name} on {resource.kind} {identifier.name}")
            try:
                result = action.execute(item, self._backup)
            except Error as error:
                self._errors.append(f"{resource.kind} {identifier.name}: {name}: {error}")
                return False
            if result.operation_id and self._backup["status"]["phase"] in FINALIZING_PHASES:
                self._errors.append(f"{resource.kind} {identifier.name}: {name} starts an operation while finalizing")
                return False
            if result.operation_id:
                self._operations.append(
                    Operation(name, identifier, result.operation_id, tuple(result.post_operation_items))
                )
            item = result.item or item
            for additional in result.additional_items:
                if not self._back_up(additional):
                    return False
        self._tarball[path_in_tarball(identifier)] = item
        return True

    def _count_log_lines(self, host: PluginHost) -> None:
        """Each line a plugin logs as error or warning counts (``pkg/util/logging/log_counter_hook.go``)."""
        for line in host.log_lines:
            if line.level in ("error", "warn"):
                (self._errors if line.level == "error" else self._warnings).append(line.message)

    def _finalize(self) -> None:
        """Collects the post-operation items again, all before the first action (``FinalizeBackup``).

        What goes wrong here keeps the stored object as it was and does not count as an error of the backup.
        """
        self._set_phase("FinalizingPartiallyFailed" if self._errors else "Finalizing")
        collected = {}
        for identifier in [item for operation in self._operations for item in operation.post_operation_items]:
            try:
                item = self._around.kube.get(resource_of(identifier), identifier.name, identifier.namespace or None)
            except NotFoundError:
                continue
            collected[identifier] = item
        errors, operations = list(self._errors), list(self._operations)
        self._done = set()
        with self._around.plugin() as host:
            self._resolve_actions(host)
            for identifier, item in collected.items():
                self._execute_actions(identifier, item)
        self._errors, self._operations = errors, operations
        self._around.csi.settle()


def _duration(seconds: float) -> str:
    """A duration as Go writes it."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
