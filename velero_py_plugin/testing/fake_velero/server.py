"""The stand-in for Velero's server."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.plugin.kinds import OperationProgress
from velero_py_plugin.testing.csi_directory import DirectoryCsi
from velero_py_plugin.testing.fake_velero.backup import BackupOutcome, BackupRun
from velero_py_plugin.testing.fake_velero.restore import RestoreOutcome, RestoreRun
from velero_py_plugin.testing.fake_velero.surroundings import Surroundings

__all__ = ["BackupOutcome", "FakeVelero", "RestoreOutcome"]


def _silent(_: object) -> None:
    """Tells nobody."""


class FakeVelero:
    """Velero's server, for one claim at a time and one plugin executable.

    The claim's storage class must be the one of ``csi``. Somebody else has to fulfil the DataUploads and DataDownloads
    that appear in the cluster meanwhile.

    Args:
        kube: The cluster; Velero's namespace exists in it.
        csi: The storage and its controllers.
        command: Path of the plugin executable, which is started as Velero would start it.
        environ: Environment of the plugin; it must lead to the cluster. This process' own when None.
        namespace: Velero's namespace.
        poll_interval: Seconds between two looks at operations, snapshots and claims; Velero's default is 10.
        snapshot_timeout: Seconds a snapshot may take to get a handle (``csiSnapshotTimeout``).
        operation_timeout: Seconds an operation may take (``itemOperationTimeout``).
        resource_timeout: Seconds a restored claim may take to be bound (``--resource-timeout``).
        on_step: Told what happens, a sentence at a time.
        on_progress: Told what the plugin answers about a running operation.
    """

    def __init__(
        self,
        kube: KubeClient,
        csi: DirectoryCsi,
        command: str | os.PathLike[str],
        *,
        environ: Mapping[str, str] | None = None,
        namespace: str = "velero",
        poll_interval: float = 10.0,
        snapshot_timeout: float = 600.0,
        operation_timeout: float = 4 * 3600.0,
        resource_timeout: float = 600.0,
        on_step: Callable[[str], None] = _silent,
        on_progress: Callable[[OperationProgress], None] = _silent,
    ) -> None:
        self._around = Surroundings(
            kube=kube,
            csi=csi,
            command=command,
            environ=os.environ if environ is None else environ,
            namespace=namespace,
            poll_interval=poll_interval,
            snapshot_timeout=snapshot_timeout,
            operation_timeout=operation_timeout,
            resource_timeout=resource_timeout,
            on_step=on_step,
            on_progress=on_progress,
        )

    def backup(
        self, name: str, claim_namespace: str, claim_name: str, *, storage_location: str = "default"
    ) -> BackupOutcome:
        """Backs up one claim, as ``velero backup create`` with CSI snapshots that are not moved.

        Args:
            name: Name of the Backup to create.
            claim_namespace: Namespace of the claim.
            claim_name: Name of the bound claim.
            storage_location: Name of the BackupStorageLocation.

        Returns:
            What a restore needs, and how it went.
        """
        return BackupRun(self._around).run(name, claim_namespace, claim_name, storage_location)

    def restore(
        self,
        name: str,
        backup: BackupOutcome,
        *,
        namespace_mapping: Mapping[str, str] | None = None,
        restore_volumes: bool = True,
    ) -> RestoreOutcome:
        """Restores a backup, also into a cluster that has never seen it.

        Args:
            name: Name of the Restore to create.
            backup: What ``backup`` returned.
            namespace_mapping: Original to target namespace.
            restore_volumes: ``restorePVs`` of the Restore.

        Returns:
            How it went.
        """
        return RestoreRun(self._around, backup).run(name, namespace_mapping or {}, restore_volumes)
