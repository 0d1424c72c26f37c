"""Runs the controller: watches, queues and their threads.

Why not kopf, which the design named: only its watching would be left, since requests are taken from a queue of names
that timers and movers fill too, and an ``on.event`` handler without annotations cannot be put off. Its watching ends
the whole operator on any watch error but 410 and on an API server that is away for a minute (kopf 1.45
``_cogs/clients/watching.py``, ``_cogs/clients/api.py``), cancels every other task of its event loop when it ends
(``_core/reactor/running.py``), learns which types exist only at its start unless it may watch all of the cluster's
definitions, and brings a second HTTP client with credentials of its own. ``KubeClient.watch`` needs forty lines.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from velero_py_plugin import errors
from velero_py_plugin.api.backup_repository import KOPIA, BackupRepository
from velero_py_plugin.api.object_meta import ObjectMeta
from velero_py_plugin.api.resource import BACKUP_REPOSITORY, DATA_DOWNLOAD, DATA_UPLOAD, ResourceType
from velero_py_plugin.controller import watcher
from velero_py_plugin.controller.backup_repository import (
    BackupRepositoryReconciler,
    PrepareRepository,
    RepositoryKey,
)
from velero_py_plugin.controller.data_download import DataDownloadReconciler
from velero_py_plugin.controller.data_upload import DataUploadReconciler
from velero_py_plugin.controller.exposer.exposer import Exposer
from velero_py_plugin.controller.settings import Settings
from velero_py_plugin.controller.slots import Slots
from velero_py_plugin.controller.work_queue import WorkQueue
from velero_py_plugin.kube.client import KubeClient

logger = logging.getLogger(__name__)

_MOVEMENT_WORKERS = 4
_REPOSITORY_WORKERS = 4


def run_controller(
    *,
    client: KubeClient,
    namespace: str,
    exposer: Exposer,
    prepare_repository: PrepareRepository,
    settings: Settings,
    stop: threading.Event,
) -> None:
    """Fulfils DataUploads and DataDownloads until it is told to stop.

    Only one controller may run per namespace. Running movers are left to the exposer.

    Args:
        client: The API server.
        namespace: Velero's namespace.
        exposer: Exposes volumes and runs movers.
        prepare_repository: Creates or checks a repository.
        settings: Settings.
        stop: Ends the controller.
    """
    controller = _Controller(client, namespace, exposer, prepare_repository, settings)
    controller.start(stop)
    stop.wait()
    controller.stop()


class _Controller:
    """Three queues, three watches, and the reconcilers between them."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        exposer: Exposer,
        prepare_repository: PrepareRepository,
        settings: Settings,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._exposer = exposer
        self._settings = settings
        delay = settings.error_delay
        self._repository_queue = WorkQueue[RepositoryKey](
            "BackupRepository", workers=_REPOSITORY_WORKERS, error_delay=delay
        )
        self._upload_queue = WorkQueue[str]("DataUpload", workers=_MOVEMENT_WORKERS, error_delay=delay)
        self._download_queue = WorkQueue[str]("DataDownload", workers=_MOVEMENT_WORKERS, error_delay=delay)
        self._repositories = BackupRepositoryReconciler(
            client=client,
            namespace=namespace,
            prepare=prepare_repository,
            settings=settings,
            wake=self._repository_queue.add,
        )
        movement: dict[str, Any] = {
            "client": client,
            "namespace": namespace,
            "exposer": exposer,
            "repositories": self._repositories,
            "slots": Slots(settings.max_concurrent_moves),
            "settings": settings,
        }
        self._uploads = DataUploadReconciler(**movement, wake=self._upload_queue.add)
        self._downloads = DataDownloadReconciler(**movement, wake=self._download_queue.add)

    def start(self, stop: threading.Event) -> None:
        """Starts all threads."""
        self._repository_queue.start(self._repositories.reconcile)
        self._upload_queue.start(self._uploads.reconcile)
        self._download_queue.start(self._downloads.reconcile)
        self._watch(DATA_UPLOAD, self._see_upload, stop)
        self._watch(DATA_DOWNLOAD, self._see_download, stop)
        self._watch(BACKUP_REPOSITORY, self._see_repository, stop)
        threading.Thread(target=self._sweep, args=(stop,), name="sweep", daemon=True).start()
        logger.info("Fulfilling the data movement requests of namespace %s", self._namespace)

    def stop(self) -> None:
        """Ends the work; the watches end by themselves at their next event or round."""
        self._upload_queue.stop()
        self._download_queue.stop()
        self._repository_queue.stop()

    def _watch(
        self, resource: ResourceType, on_object: Callable[[dict[str, Any]], None], stop: threading.Event
    ) -> None:
        # Blocked in a read, which nothing but the server ends early; so it must not keep the process alive.
        threading.Thread(
            target=watcher.watch,
            args=(self._client, resource, self._namespace, on_object),
            kwargs={
                "stop": stop,
                "resync_interval": self._settings.resync_interval,
                "error_delay": self._settings.error_delay,
            },
            name=f"watch-{resource.plural}",
            daemon=True,
        ).start()

    def _see_upload(self, resource: dict[str, Any]) -> None:
        if self._uploads.concerns(resource):
            self._upload_queue.add(resource["metadata"]["name"])

    def _see_download(self, resource: dict[str, Any]) -> None:
        if self._downloads.concerns(resource):
            self._download_queue.add(resource["metadata"]["name"])

    def _see_repository(self, resource: dict[str, Any]) -> None:
        repository = BackupRepository.from_object(resource)
        if repository.repository_type == KOPIA:
            self._repository_queue.add(RepositoryKey(repository.volume_namespace, repository.backup_storage_location))

    def _sweep(self, stop: threading.Event) -> None:
        """Removes, once, what an earlier controller left behind for requests that no longer exist."""
        while not stop.is_set():
            try:
                held = self._exposer.held()  # before the requests: one that comes meanwhile is in neither list
                existing = {
                    ObjectMeta.from_object(request).uid
                    for resource in (DATA_UPLOAD, DATA_DOWNLOAD)
                    for request in self._client.list(resource, self._namespace)
                }
                for uid in held:
                    if uid not in existing:
                        self._exposer.abandon(uid)
            except errors.Error as error:
                logger.warning("Looking for what an earlier controller left behind: %s: %s", error.reason, error)
                stop.wait(self._settings.error_delay)
            else:
                return
