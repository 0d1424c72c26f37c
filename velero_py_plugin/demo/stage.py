"""The stage of the demo: a cluster, a bucket, storage, a controller, and an application's volume."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from velero_py_plugin.api.resource import BACKUP_STORAGE_LOCATION, NAMESPACE, PV, PVC, SECRET
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.controller.run import run_controller
from velero_py_plugin.controller.settings import Settings
from velero_py_plugin.kopia.repository import prepare_repository
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.csi_directory import STORAGE_CLASS_NAME, DirectoryCsi
from velero_py_plugin.testing.kubernetes_api import KubernetesApi
from velero_py_plugin.testing.s3_server import S3Server

VELERO_NAMESPACE: Final = "velero"
APPLICATION_NAMESPACE: Final = "shop"
CLAIM: Final = "data"
BUCKET: Final = "velero-backups"
_CREDENTIALS_SECRET: Final = "cloud-credentials"  # noqa: S105 (a name)


class Stage:
    """Everything that must run before there is something to see.

    Args:
        folder: An empty folder for all of it.

    Attributes:
        kube: Client of the embedded API server.
        csi: The storage driver.
        s3: The S3 server.
        password: Password of the repositories.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.password = secrets.token_urlsafe(18)

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            self._api = stack.enter_context(KubernetesApi())
            self._kubeconfig = self._folder / "kubeconfig"
            self._api.write_kubeconfig(self._kubeconfig)
            self.kube = KubeClient(self._api.kube_config())
            stack.callback(self.kube.close)
            (self._folder / "s3").mkdir()
            self.s3 = stack.enter_context(
                S3Server(
                    self._folder / "s3",
                    access_key=secrets.token_hex(10),
                    secret_key=secrets.token_hex(20),
                    bucket=BUCKET,
                )
            )
            (self._folder / "storage").mkdir()
            self.csi = DirectoryCsi(self.kube, self._folder / "storage")
            self.csi.install()
            self._install_velero_objects()
            stack.enter_context(self._controller())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def plugin(self) -> Path:
        """The installed plugin executable."""
        return Path(sys.executable).with_name("velero-py-plugin")

    def plugin_environment(self) -> dict[str, str]:
        """What Velero's pod would give a plugin, as far as ours looks at it."""
        return {"KUBECONFIG": str(self._kubeconfig), "PATH": os.environ["PATH"], "VELERO_NAMESPACE": VELERO_NAMESPACE}

    def make_claim(self) -> Path:
        """Creates the application's claim and returns the folder behind its volume."""
        self.kube.create(
            PVC,
            {
                "metadata": {"name": CLAIM, "labels": {"app": "shop"}},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "storageClassName": STORAGE_CLASS_NAME,
                },
            },
            APPLICATION_NAMESPACE,
        )
        self.csi.settle()
        return self.volume()

    def volume(self) -> Path:
        """The folder behind the claim's volume."""
        claim = self.kube.get(PVC, CLAIM, APPLICATION_NAMESPACE)
        volume = self.kube.get(PV, claim["spec"]["volumeName"])
        return self.csi.path_of_volume(volume["spec"]["csi"]["volumeHandle"])

    def destroy_claim(self) -> None:
        """Deletes the claim; the storage removes its volume."""
        self.kube.delete(PVC, CLAIM, APPLICATION_NAMESPACE)
        self.csi.settle()

    def repository_url(self) -> str:
        """Where the application's repository is."""
        return f"{self.s3.url(f'kopia/{APPLICATION_NAMESPACE}/')}&credentials-file={self.s3.credentials_file}"

    def _install_velero_objects(self) -> None:
        for namespace in (VELERO_NAMESPACE, APPLICATION_NAMESPACE):
            self.kube.create(NAMESPACE, {"metadata": {"name": namespace}})
        self._secret("velero-repo-credentials", "repository-password", self.password)
        self._secret(_CREDENTIALS_SECRET, "cloud", Path(self.s3.credentials_file).read_text(encoding="utf-8"))
        location = {
            "metadata": {"name": "default"},
            "spec": {
                "provider": "aws",
                "objectStorage": {"bucket": BUCKET},
                "credential": {"name": _CREDENTIALS_SECRET, "key": "cloud"},
                "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": self.s3.endpoint},
            },
        }
        self.kube.create(BACKUP_STORAGE_LOCATION, location, VELERO_NAMESPACE)

    def _secret(self, name: str, key: str, value: str) -> None:
        body: dict[str, Any] = {"metadata": {"name": name}, "data": {key: base64.b64encode(value.encode()).decode()}}
        self.kube.create(SECRET, body, VELERO_NAMESPACE)

    @contextlib.contextmanager
    def _controller(self) -> Iterator[None]:
        """Runs the controller beside the demo, as a Deployment would in a cluster."""
        stop = threading.Event()
        exposer = LocalProcessExposer(
            self.kube,
            directory=self._folder / "movers",
            snapshot_directory=self.csi.path_of_snapshot,
            volume_directory=self.csi.path_of_volume,
            node="demo",
            environment={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
        )
        thread = threading.Thread(
            target=run_controller,
            name="controller",
            kwargs={
                "client": self.kube,
                "namespace": VELERO_NAMESPACE,
                "exposer": exposer,
                "prepare_repository": prepare_repository,
                "settings": Settings(node="demo", poll_interval=0.1, progress_interval=0.25, wait_interval=0.2),
                "stop": stop,
            },
        )
        with contextlib.closing(exposer):
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
