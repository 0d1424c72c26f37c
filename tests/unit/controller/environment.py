"""A small cluster for the controller's tests: embedded API, folder volumes, and a mover that does as it is told."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from velero_py_plugin.api.resource import (
    BACKUP_REPOSITORY,
    BACKUP_STORAGE_LOCATION,
    DATA_DOWNLOAD,
    DATA_UPLOAD,
    PVC,
    VOLUME_SNAPSHOT,
    ResourceType,
)
from velero_py_plugin.controller.backup_repository import BackupRepositoryReconciler, PrepareRepository
from velero_py_plugin.controller.data_download import DataDownloadReconciler
from velero_py_plugin.controller.data_upload import DataUploadReconciler
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.controller.run import run_controller
from velero_py_plugin.controller.settings import Settings
from velero_py_plugin.controller.slots import Slots
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.errors import NotFoundError
from velero_py_plugin.testing.csi_directory import SNAPSHOT_CLASS_NAME, STORAGE_CLASS_NAME, DirectoryCsi
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

NAMESPACE_OF_VELERO = "velero"
SNAPSHOT_ID = "0123456789abcdef0123456789abcdef"
SELECTOR = "app.data.x7k2p"

SETTINGS = Settings(
    node="node-1",
    poll_interval=0.01,
    wait_interval=0.01,
    progress_interval=0.0,
    resync_interval=1,
    retry_delay=0.01,
    error_delay=0.01,
    repository_grace=0.0,
)

# What every fake mover begins with. Signals reach it as in the real one: SIGTERM ends it with a canceled result.
_PREAMBLE = """
import json, os, pathlib, signal, sys, time
SNAPSHOT_ID = "0123456789abcdef0123456789abcdef"
arguments = sys.argv[1:]
here = pathlib.Path(os.environ["HERE"])
def option(name):
    return arguments[arguments.index(name) + 1]
def say(kind, **fields):
    print(json.dumps({"type": kind, **fields}), flush=True)
def progress(done, total):
    say("progress", bytes_done=done, total_bytes=total, files_done=0, total_files=0)
def result(code=0, **fields):
    say("result", **{"outcome": "completed", **fields})
    os._exit(code)
def completed(**fields):
    result(snapshot_id=SNAPSHOT_ID, total_bytes=10, incremental_bytes=4, **fields)
def canceled(*_):
    result(3, outcome="canceled", reason="Canceled", message="stopped")
def wait_for(name):
    while not (here / name).exists():
        time.sleep(0.002)
signal.signal(signal.SIGTERM, canceled)
(here / "calls").open("a").write(json.dumps([os.getpid(), arguments]) + "\\n")
"""


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Polls until a condition holds; returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)


@dataclasses.dataclass
class Environment:
    """The cluster and the one directory that is its machine."""

    api: KubernetesApi
    kube: KubeClient
    csi: DirectoryCsi
    here: Path
    wakes: list[str] = dataclasses.field(default_factory=list)

    def program(self, body: str) -> None:
        """Sets what the mover does from now on."""
        (self.here / "mover.py").write_text(_PREAMBLE + body)

    def calls(self) -> list[tuple[int, list[str]]]:
        """Process id and arguments of every mover started so far."""
        path = self.here / "calls"
        return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []

    def say(self, name: str) -> None:
        """Lets a mover that waits for a name go on."""
        (self.here / name).touch()

    def exposer(
        self, *, cancel_grace: float = 10.0, snapshot_directory: Callable[[str], Path] | None = None
    ) -> LocalProcessExposer:
        return LocalProcessExposer(
            self.kube,
            directory=self.here / "movers",
            snapshot_directory=snapshot_directory or self.csi.path_of_snapshot,
            volume_directory=self.csi.path_of_volume,
            node="node-1",
            environment={"HERE": str(self.here)},
            command=[sys.executable, "-S", "-E", str(self.here / "mover.py")],
            cancel_grace=cancel_grace,
        )

    def make_location(self, name: str = "default", **spec: Any) -> None:
        body = {
            "metadata": {"name": name},
            "spec": {
                "provider": "velero.io/aws",
                "objectStorage": {"bucket": "backups", "prefix": "cluster-1"},
                "config": {"region": "minio", "s3Url": "http://s3.example:9000"},
                **spec,
            },
        }
        self.kube.create(BACKUP_STORAGE_LOCATION, body, NAMESPACE_OF_VELERO)

    def make_claim(self, name: str = "data", **spec: Any) -> dict[str, Any]:
        body = {
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": STORAGE_CLASS_NAME,
                **spec,
            },
        }
        return self.kube.create(PVC, body, "app")

    def make_target_claim(self, name: str = "data", **spec: Any) -> dict[str, Any]:
        """A claim as Velero restores it: nothing but a restored volume can be bound to it."""
        selector = {"matchLabels": {"velero.io/dynamic-pv-restore": SELECTOR}}
        return self.make_claim(name, **{"selector": selector, **spec})

    def make_snapshot(self, name: str = "snap") -> None:
        """A snapshot that is ready, of a claim with nothing in it."""
        with contextlib.suppress(NotFoundError):
            self.kube.get(VOLUME_SNAPSHOT, name, "app")
            return
        self.make_claim(f"claim-of-{name}")
        self.csi.settle()
        self.make_unready_snapshot(name)
        self.csi.settle()

    def make_unready_snapshot(self, name: str = "snap") -> None:
        """A snapshot that nobody has cut yet."""
        source = {"persistentVolumeClaimName": f"claim-of-{name}"}
        body = {
            "metadata": {"name": name},
            "spec": {"source": source, "volumeSnapshotClassName": SNAPSHOT_CLASS_NAME},
        }
        self.kube.create(VOLUME_SNAPSHOT, body, "app")

    def make_upload(self, name: str = "upload", *, snapshot: str = "snap", **spec: Any) -> dict[str, Any]:
        body = {
            "metadata": {"name": name, "labels": {"velero.io/async-operation-id": "du-1"}},
            "spec": {
                "snapshotType": "CSI",
                "csiSnapshot": {"volumeSnapshot": snapshot, "storageClass": STORAGE_CLASS_NAME},
                "sourcePVC": "data",
                "sourceNamespace": "app",
                "datamover": "velero-py-plugin",
                "backupStorageLocation": "default",
                "operationTimeout": "10m0s",
                **spec,
            },
            "status": {"progress": {}},
        }
        return self.kube.create(DATA_UPLOAD, body, NAMESPACE_OF_VELERO)

    def make_download(self, name: str = "download", **spec: Any) -> dict[str, Any]:
        body = {
            "metadata": {"name": name},
            "spec": {
                "targetVolume": {"pvc": "data", "pv": "", "namespace": "app"},
                "backupStorageLocation": "default",
                "datamover": "velero-py-plugin",
                "snapshotID": SNAPSHOT_ID,
                "sourceNamespace": "app",
                "operationTimeout": "10m0s",
                **spec,
            },
            "status": {"progress": {}},
        }
        return self.kube.create(DATA_DOWNLOAD, body, NAMESPACE_OF_VELERO)

    def upload(self, name: str = "upload") -> dict[str, Any]:
        return self.kube.get(DATA_UPLOAD, name, NAMESPACE_OF_VELERO)

    def download(self, name: str = "download") -> dict[str, Any]:
        return self.kube.get(DATA_DOWNLOAD, name, NAMESPACE_OF_VELERO)

    def cancel(self, resource: ResourceType, name: str) -> None:
        self.kube.merge_patch(resource, name, {"spec": {"cancel": True}}, NAMESPACE_OF_VELERO)

    def exists(self, resource: ResourceType, name: str, namespace: str | None = NAMESPACE_OF_VELERO) -> bool:
        try:
            self.kube.get(resource, name, namespace)
        except NotFoundError:
            return False
        return True

    def repositories(self) -> list[dict[str, Any]]:
        return self.kube.list(BACKUP_REPOSITORY, NAMESPACE_OF_VELERO)

    @contextlib.contextmanager
    def running_controller(
        self,
        exposer: LocalProcessExposer,
        settings: Settings = SETTINGS,
        prepare: PrepareRepository = lambda _url, _password: "id",
    ) -> Iterator[threading.Thread]:
        """A controller in a thread, as the command line runs it."""
        stop = threading.Event()
        thread = threading.Thread(
            target=run_controller,
            kwargs={
                "client": self.kube,
                "namespace": NAMESPACE_OF_VELERO,
                "exposer": exposer,
                "prepare_repository": prepare,
                "settings": settings,
                "stop": stop,
            },
        )
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join()


class Controller:
    """The reconcilers without queues and watches: a test does one pass at a time."""

    def __init__(
        self,
        environment: Environment,
        exposer: LocalProcessExposer,
        settings: Settings = SETTINGS,
        prepare: PrepareRepository = lambda _url, _password: "id",
    ) -> None:
        self.repositories = BackupRepositoryReconciler(
            client=environment.kube,
            namespace=NAMESPACE_OF_VELERO,
            prepare=prepare,
            settings=settings,
            wake=self._prepare_now,
        )
        slots = Slots(settings.max_concurrent_moves)
        self.uploads = DataUploadReconciler(
            client=environment.kube,
            namespace=NAMESPACE_OF_VELERO,
            exposer=exposer,
            repositories=self.repositories,
            slots=slots,
            settings=settings,
            wake=environment.wakes.append,
        )
        self.downloads = DataDownloadReconciler(
            client=environment.kube,
            namespace=NAMESPACE_OF_VELERO,
            exposer=exposer,
            repositories=self.repositories,
            slots=slots,
            settings=settings,
            wake=environment.wakes.append,
        )
        self._wanted: list[Any] = []

    def _prepare_now(self, key: Any) -> None:
        self._wanted.append(key)

    def prepare_repositories(self) -> None:
        """What the queue of repositories would do in the meantime."""
        while self._wanted:
            self.repositories.reconcile(self._wanted.pop())

    def upload(self, name: str = "upload") -> float | None:
        """One look at a DataUpload, after the repositories had their turn."""
        delay = self.uploads.reconcile(name)
        self.prepare_repositories()
        return delay

    def download(self, name: str = "download") -> float | None:
        """One look at a DataDownload, after the repositories had their turn."""
        delay = self.downloads.reconcile(name)
        self.prepare_repositories()
        return delay
