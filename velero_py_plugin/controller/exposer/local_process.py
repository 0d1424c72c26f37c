"""Movers as child processes of the controller, for volumes that are directories of this machine.

For demonstrations, tests, and storage whose snapshots are directories. A mover does not outlive its controller: what a
killed controller left running is ended by the next one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Self

from velero_py_plugin.api.data_download import DataDownload
from velero_py_plugin.api.data_upload import DataUpload
from velero_py_plugin.api.resource import PV, PVC, STORAGE_CLASS, VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT
from velero_py_plugin.controller import errors
from velero_py_plugin.controller.exposer.exposer import Exposure, MoverLost, MoverRunning, MoverState, Request
from velero_py_plugin.controller.exposer.mover_command import backup_arguments, restore_arguments
from velero_py_plugin.controller.exposer.mover_process import MoverProcess, kill_orphan
from velero_py_plugin.controller.exposer.restored_volume import (
    build_restored_volume,
    check_target_claim,
    is_bound,
    volume_name,
)
from velero_py_plugin.controller.repository_access import RepositoryAccess
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import NotFoundError

logger = logging.getLogger(__name__)

MOVER_COMMAND: Final = (sys.executable, "-m", "velero_py_plugin.cli")
_RECORD: Final = "mover.json"


class LocalProcessExposer:
    """Exposes directories and runs movers as child processes.

    Args:
        client: The API server.
        directory: Where secrets and records of running movers are kept; of this controller alone, and kept over its
            restarts.
        snapshot_directory: Gives the directory behind a CSI snapshot handle.
        volume_directory: Gives the directory behind a CSI volume handle, whether or not there is one yet.
        node: Name of this machine in ``status.node``.
        environment: What movers find in their environment.
        command: Executable that takes a mover's arguments.
        cancel_grace: Seconds between asking a mover to stop and killing it.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        directory: pathlib.Path,
        snapshot_directory: Callable[[str], pathlib.Path],
        volume_directory: Callable[[str], pathlib.Path],
        node: str,
        environment: Mapping[str, str],
        command: Sequence[str] = MOVER_COMMAND,
        cancel_grace: float = 30.0,
    ) -> None:
        self._client = client
        self._directory = directory
        self._snapshot_directory = snapshot_directory
        self._volume_directory = volume_directory
        self._node = node
        self._environment = dict(environment)
        self._command = list(command)
        self._cancel_grace = cancel_grace
        self._lock = threading.Lock()
        self._processes: dict[str, MoverProcess] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expose(self, request: Request) -> Exposure:
        """Finds the snapshot's directory, or makes an empty one for the volume to restore."""
        if isinstance(request, DataUpload):
            return Exposure(str(self._source(request)), self._node)
        name = volume_name(request.meta.uid)
        claim = self._target_claim(request)
        check_target_claim(claim, name)
        self._storage_class(claim)  # found missing only after the restore, it would have been for nothing
        target = self._volume_directory(name)
        target.mkdir(parents=True, exist_ok=True)
        return Exposure(str(target), self._node)

    def start(self, request: Request, exposure: Exposure, access: RepositoryAccess) -> None:
        """Starts the mover."""
        uid = request.meta.uid
        with self._lock:
            process = self._processes.get(uid)
        if process:
            if isinstance(process.state(), MoverRunning):
                return
            process.end()
        directory = self._directory / uid
        directory.mkdir(mode=0o700, exist_ok=True)
        files = access.write(directory)
        place = {"url": files.url, "password_file": str(files.password_file)}
        if isinstance(request, DataUpload):
            arguments = backup_arguments(request, **place, source=exposure.path)
        else:
            # What an earlier attempt has written would have to be told from what must be there; it starts anew.
            _remove_tree(pathlib.Path(exposure.path))
            pathlib.Path(exposure.path).mkdir(parents=True)
            arguments = restore_arguments(request, **place, target=exposure.path)
        process = MoverProcess(
            [*self._command, *arguments],
            environment=self._environment,
            name=request.meta.name,
            cancel_grace=self._cancel_grace,
        )
        with self._lock:
            self._processes[uid] = process
        record = {"pid": process.pid, "mark": str(files.password_file)}
        (directory / _RECORD).write_text(json.dumps(record), encoding="utf-8")

    def observe(self, request: Request) -> MoverState | None:
        """Tells how the mover does; ends one that an earlier controller left running."""
        uid = request.meta.uid
        with self._lock:
            process = self._processes.get(uid)
        if process:
            return process.state()
        if not (self._directory / uid / _RECORD).exists():
            return None
        if self._kill_orphan(uid):
            logger.warning("%s: ended the mover that an earlier controller had started", request.meta.name)
        return MoverLost("the controller was started anew while the mover ran, and movers do not outlive it here.")

    def stop(self, request: Request) -> None:
        """Sends SIGTERM, and SIGKILL when the grace time is over."""
        with self._lock:
            process = self._processes.get(request.meta.uid)
        if process:
            process.stop()

    def bind(self, download: DataDownload) -> None:
        """Creates the volume with the restored directory behind it, and waits for the cluster to bind it."""
        claim = self._target_claim(download)
        name = volume_name(download.meta.uid)
        check_target_claim(claim, name)
        if is_bound(claim, name):
            return
        if self._volume(name) is None:
            storage_class = self._storage_class(claim)
            body = build_restored_volume(claim, storage_class, name=name, handle=name)
            self._client.create(PV, body)
        raise errors.BindingPendingError(
            f"the volume {name} waits to be bound to claim {download.target_namespace}/{download.target_pvc}."
        )

    def clean_up(self, request: Request, *, keep_volume: bool) -> None:
        """Ends the mover, removes its secrets, and the restored directory unless a claim has it."""
        self._drop(request.meta.uid)
        if isinstance(request, DataDownload) and not keep_volume:
            self._discard_volume(request.meta.uid)

    def abandon(self, uid: str) -> None:
        """Ends the mover of a request that no longer exists and removes what it made."""
        self._drop(uid)
        self._discard_volume(uid)

    def held(self) -> Collection[str]:
        """The uids whose movers run, or ran under an earlier controller and were not tidied up."""
        return [path.name for path in self._directory.iterdir() if path.is_dir()]

    def close(self) -> None:
        """Stops all movers; their requests are found without one by the next controller, which fails them."""
        with self._lock:
            processes = list(self._processes.values())
        for process in processes:
            process.stop()
        deadline = time.monotonic() + self._cancel_grace
        while any(isinstance(process.state(), MoverRunning) for process in processes) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in processes:
            process.end()

    def _drop(self, uid: str) -> None:
        with self._lock:
            process = self._processes.pop(uid, None)
        if process:
            process.end()
        else:
            self._kill_orphan(uid)
        shutil.rmtree(self._directory / uid, ignore_errors=True)

    def _kill_orphan(self, uid: str) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads((self._directory / uid / _RECORD).read_text(encoding="utf-8"))
            return kill_orphan(record["pid"], record["mark"])
        return False

    def _source(self, upload: DataUpload) -> pathlib.Path:
        name = upload.csi_snapshot.volume_snapshot if upload.csi_snapshot else ""
        where = f"{upload.source_namespace}/{name}"
        try:
            snapshot = self._client.get(VOLUME_SNAPSHOT, name, upload.source_namespace)
            status = snapshot.get("status") or {}
            if not status.get("readyToUse"):
                cause = (status.get("error") or {}).get("message")
                raise errors.SnapshotNotReadyError(
                    f"the VolumeSnapshot {where} is not ready to use{f'; its driver says: {cause}' if cause else '.'}"
                )
            content = self._client.get(VOLUME_SNAPSHOT_CONTENT, status.get("boundVolumeSnapshotContentName") or "")
        except NotFoundError as error:
            raise errors.VolumeSnapshotNotFoundError(
                f"the VolumeSnapshot {where} or its content does not exist: {error}"
            ) from error
        handle = (content.get("status") or {}).get("snapshotHandle")
        if not handle:
            raise errors.SnapshotNotReadyError(f"the content of VolumeSnapshot {where} has no snapshot handle yet.")
        if content["spec"].get("sourceVolumeMode") == "Block":
            raise errors.BlockVolumeUnsupportedError(f"the VolumeSnapshot {where} is of a block volume.")
        directory = self._snapshot_directory(handle)
        if not directory.is_dir():
            raise errors.VolumeUnreachableError(f"the VolumeSnapshot {where} is not a directory of this machine.")
        return directory

    def _target_claim(self, download: DataDownload) -> dict[str, Any]:
        try:
            return self._client.get(PVC, download.target_pvc, download.target_namespace)
        except NotFoundError as error:
            raise errors.TargetClaimMissingError(
                f"the claim {download.target_namespace}/{download.target_pvc} does not exist yet."
            ) from error

    def _storage_class(self, claim: Mapping[str, Any]) -> dict[str, Any]:
        name = claim["spec"]["storageClassName"]
        try:
            return self._client.get(STORAGE_CLASS, name)
        except NotFoundError as error:
            raise errors.TargetClaimUnsuitableError(f'the storage class "{name}" does not exist.') from error

    def _volume(self, name: str) -> dict[str, Any] | None:
        try:
            return self._client.get(PV, name)
        except NotFoundError:
            return None

    def _discard_volume(self, uid: str) -> None:
        name = volume_name(uid)
        volume = self._volume(name)
        if volume:
            if (volume.get("status") or {}).get("phase") == "Bound":
                return  # it has become the claim's, and with it the data
            with contextlib.suppress(NotFoundError):
                self._client.delete(PV, name, uid=volume["metadata"]["uid"])
        _remove_tree(self._volume_directory(name))


def _remove_tree(path: pathlib.Path) -> None:
    """Removes a restored folder, however it and the folders in it are protected; links are not followed."""
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)
