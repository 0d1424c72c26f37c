"""One backup restored.

Source: vmware-tanzu/velero v1.18.1 ``pkg/restore/restore.go``,
``pkg/controller/{restore,restore_operations,restore_finalizer}_controller.go``; the order of actions and objects as
observed on Velero 1.18.3.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.api.names import (
    BACKUP_NAME_LABEL,
    RESOURCE_USAGE_DATA_UPLOAD,
    RESOURCE_USAGE_LABEL,
    RESTORE_NAME_LABEL,
    RESTORE_UID_LABEL,
    valid_name,
)
from velero_py_plugin.api.resource import (
    BACKUP,
    CONFIG_MAP,
    DATA_UPLOAD,
    NAMESPACE,
    PV,
    PVC,
    RESTORE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
)
from velero_py_plugin.errors import Error
from velero_py_plugin.kube.errors import AlreadyExistsError
from velero_py_plugin.plugin.kinds import ResourceIdentifier, ResourceSelector
from velero_py_plugin.testing.fake_velero.backup import BackupOutcome
from velero_py_plugin.testing.fake_velero.csi_restore_actions import RestoreAction, mapped_namespace, restore_actions
from velero_py_plugin.testing.fake_velero.operation import Operation
from velero_py_plugin.testing.fake_velero.selection import selects
from velero_py_plugin.testing.fake_velero.surroundings import Surroundings
from velero_py_plugin.testing.fake_velero.tarball import identifier_of, path_in_tarball, resource_of, stored_items
from velero_py_plugin.testing.plugin_host import PluginHost

_ORDER: Final = (VOLUME_SNAPSHOT_CONTENT, VOLUME_SNAPSHOT, DATA_UPLOAD, PVC)
"""Velero's order of these types. PersistentVolumes behind CSI snapshots are not restored but provisioned anew."""
_KEPT_METADATA: Final = ("name", "namespace", "labels", "annotations", "finalizers")


@dataclasses.dataclass(frozen=True)
class RestoreOutcome:
    """How a restore ended.

    Attributes:
        restore: The Restore with its final phase.
        operations: The asynchronous operations.
        errors: What makes the restore partially failed.
        warnings: What is worth knowing.
    """

    restore: dict[str, Any]
    operations: tuple[Operation, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def phase(self) -> str:
        """``Completed`` or ``PartiallyFailed``."""
        return str(self.restore["status"]["phase"])


class RestoreRun:
    """The state of a restore while it runs.

    Args:
        around: What it runs in.
        backup: What is restored.
    """

    def __init__(self, around: Surroundings, backup: BackupOutcome) -> None:
        self._around = around
        self._backup = backup
        self._in_tree = restore_actions(around.kube)
        self._restore: dict[str, Any] = {}
        self._actions: list[tuple[str, RestoreAction, ResourceSelector]] = []
        self._done: set[ResourceIdentifier] = set()
        self._claims: list[tuple[str, str, str]] = []
        self._operations: list[Operation] = []
        self._errors: list[str] = []
        self._warnings: list[str] = []

    def run(self, name: str, namespace_mapping: Mapping[str, str], restore_volumes: bool) -> RestoreOutcome:
        """Restores everything the backup holds, waits for its operations, and for its claims."""
        self._sync_backup()
        body = {
            "metadata": {"name": name},
            "spec": {
                "backupName": self._backup.backup["metadata"]["name"],
                "namespaceMapping": dict(namespace_mapping),
                "restorePVs": restore_volumes,
            },
        }
        self._restore = self._around.kube.create(RESTORE, body, self._around.namespace)
        self._set_phase("InProgress")
        with self._around.plugin() as host:
            self._resolve_actions(host)
            for resource in _ORDER:
                for item in stored_items(self._backup.tarball, resource):
                    self._restore_item(identifier_of(resource, item))
            self._delete_results()
            running = self._around.look(self._operations, self._restore, host.restore_item_action)
        if running:
            self._set_phase("WaitingForPluginOperations")
            self._around.wait_for_operations(self._operations, self._restore, PluginHost.restore_item_action)
        self._errors += [operation.error for operation in self._operations if operation.phase == "Failed"]
        self._set_phase("FinalizingPartiallyFailed" if self._errors else "Finalizing")
        if restore_volumes:
            self._finish_volumes()
        self._set_phase("PartiallyFailed" if self._errors else "Completed")
        return RestoreOutcome(self._restore, tuple(self._operations), tuple(self._errors), tuple(self._warnings))

    def _sync_backup(self) -> None:
        """Brings the Backup into a cluster that does not know it (``pkg/controller/backup_sync_controller.go``)."""
        backup = self._backup.backup
        meta = {key: value for key, value in backup["metadata"].items() if key in _KEPT_METADATA}
        body = {"metadata": meta, "spec": backup["spec"], "status": backup["status"]}
        try:
            self._around.kube.create(BACKUP, body, self._around.namespace)
        except AlreadyExistsError:
            return
        self._around.on_step(f"Backup {meta['name']} found in the backup storage location")

    def _set_phase(self, phase: str) -> None:
        self._restore = self._around.set_phase(RESTORE, self._restore, phase)

    def _resolve_actions(self, host: PluginHost) -> None:
        actions: dict[str, RestoreAction] = {**self._in_tree}
        for plugin in host.list_plugins():
            if plugin.kind == "RestoreItemActionV2":
                actions[plugin.name] = host.restore_item_action(plugin.name)
        self._actions = [(name, action, action.applies_to()) for name, action in actions.items()]

    def _restore_item(self, identifier: ResourceIdentifier) -> None:
        """Passes one stored object through its actions and creates what they leave of it (``restoreItem``)."""
        stored = self._backup.tarball.get(path_in_tarball(identifier))
        if identifier in self._done:
            return
        if stored is None:
            self._warnings.append(f"{identifier.resource} {identifier.name} is not in the backup")
            return
        self._done.add(identifier)
        resource = resource_of(identifier)
        namespace = mapped_namespace(self._restore, identifier.namespace) if identifier.namespace else ""
        item = _reset(stored)
        for name, action, selector in self._actions:
            if not selects(selector, resource, namespace):
                continue
            self._around.on_step(f"{name} on {resource.kind} {identifier.name}")
            try:
                result = action.execute(item, copy.deepcopy(stored), self._restore)
            except Error as error:
                self._errors.append(f"error preparing {resource.plural}/{identifier.name}: {name}: {error}")
                return
            if result.operation_id:
                self._operations.append(Operation(name, identifier, result.operation_id))
            if result.skip_restore:
                self._around.on_step(f"{resource.kind} {identifier.name}: skipped")
                return
            item = result.item or item
            for additional in result.additional_items:
                self._restore_item(additional)
        self._create(resource_of(identifier).plural, identifier, item, namespace)

    def _create(self, plural: str, identifier: ResourceIdentifier, item: dict[str, Any], namespace: str) -> None:
        """Labels and creates an object; one that exists already is left as it is."""
        labels = {
            BACKUP_NAME_LABEL: valid_name(self._restore["spec"]["backupName"]),
            RESTORE_NAME_LABEL: valid_name(self._restore["metadata"]["name"]),
        }
        meta = {**item["metadata"], "labels": {**(item["metadata"].get("labels") or {}), **labels}}
        meta.pop("namespace", None)
        name = meta["name"]
        try:
            if namespace:
                self._ensure_namespace(namespace)
            self._around.kube.create(resource_of(identifier), {**item, "metadata": meta}, namespace or None)
        except AlreadyExistsError:
            self._warnings.append(f"{plural} {name} exists already and is left as it is")
        except Error as error:
            self._errors.append(f"error restoring {plural}/{name}: {error}")
        else:
            self._around.on_step(f"{item['kind']} {name}: created")
            if resource_of(identifier) is PVC:
                self._claims.append((namespace, name, self._stored_volume(identifier)))

    def _stored_volume(self, claim: ResourceIdentifier) -> str:
        return str(self._backup.tarball[path_in_tarball(claim)]["spec"].get("volumeName", ""))

    def _ensure_namespace(self, namespace: str) -> None:
        try:
            self._around.kube.create(NAMESPACE, {"metadata": {"name": namespace}})
        except AlreadyExistsError:
            return

    def _delete_results(self) -> None:
        """Removes the uploads' ConfigMaps at the end of the execution phase (``pkg/restore/restore.go``)."""
        uid = self._restore["metadata"]["uid"]
        selector = f"{RESTORE_UID_LABEL}={uid},{RESOURCE_USAGE_LABEL}={RESOURCE_USAGE_DATA_UPLOAD}"
        for result in self._around.kube.list(CONFIG_MAP, self._around.namespace, label_selector=selector):
            self._around.kube.delete(CONFIG_MAP, result["metadata"]["name"], self._around.namespace)

    def _finish_volumes(self) -> None:
        """Waits for each restored claim, then gives its volume the stored policy and labels.

        As ``patchDynamicPVWithVolumeInfo`` of ``pkg/controller/restore_finalizer_controller.go``: the whole map of
        labels is replaced.
        """
        kube = self._around.kube
        for namespace, name, stored_name in self._claims:
            volume_name = self._around.wait_for(
                functools.partial(self._bound_volume, namespace, name),
                self._around.resource_timeout,
            )
            if volume_name is None:
                self._errors.append(f"fail to patch dynamic PV of {namespace}/{name}: context deadline exceeded")
                continue
            stored = self._backup.tarball.get(path_in_tarball(ResourceIdentifier(PV.group, PV.plural, "", stored_name)))
            if stored is None:
                continue
            old = kube.get(PV, volume_name)["metadata"].get("labels") or {}
            labels = {**dict.fromkeys(old), **(stored["metadata"].get("labels") or {})}
            policy = stored["spec"]["persistentVolumeReclaimPolicy"]
            patch = {"metadata": {"labels": labels}, "spec": {"persistentVolumeReclaimPolicy": policy}}
            kube.merge_patch(PV, volume_name, patch)

    def _bound_volume(self, namespace: str, name: str) -> str | None:
        claim = self._around.kube.get(PVC, name, namespace)
        return claim["spec"]["volumeName"] if claim["status"]["phase"] == "Bound" else None


def _reset(stored: dict[str, Any]) -> dict[str, Any]:
    """An object as actions get it: without status and without what the old cluster had put into its metadata."""
    item = copy.deepcopy(stored)
    item.pop("status", None)
    item["metadata"] = {key: value for key, value in item["metadata"].items() if key in _KEPT_METADATA}
    return item
