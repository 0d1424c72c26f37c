"""Velero's own server with all it needs around it: cluster, S3 server, CSI driver, our plugin and our controller."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.control_plane import install_definitions, read_definitions, start_api_server
from tests.support.process import Process
from velero_py_plugin import errors
from velero_py_plugin.api.names import BACKUP_NAME_LABEL, RESTORE_NAME_LABEL
from velero_py_plugin.api.resource import (
    BACKUP,
    BACKUP_REPOSITORY,
    BACKUP_STORAGE_LOCATION,
    DATA_DOWNLOAD,
    DATA_UPLOAD,
    NAMESPACE,
    RESTORE,
    SECRET,
    VOLUME_SNAPSHOT,
    ResourceType,
)
from velero_py_plugin.kopia.blob.location import open_storage
from velero_py_plugin.kopia.repository import Repository, open_repository
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.csi_directory import DirectoryCsi
from velero_py_plugin.testing.s3_server import S3Server

VELERO: Final = "velero-1.18.3"
PEERS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "crds-kubernetes",
    VELERO,
    "plugins/velero-plugin-for-aws",
)
VELERO_NAMESPACE: Final = "velero"
PASSWORD: Final = "password-of-the-tests"
DEADLINE_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.25
_PREFIX: Final = "backups-of-the-tests"
_CONTROLLER_GRACE_SECONDS: Final = 40.0  # it gives its movers 30 to end in good order
_DEPLOYMENT: Final = ResourceType("apps", "v1", "deployments", "Deployment")
_REPORTED: Final = (BACKUP_STORAGE_LOCATION, BACKUP, RESTORE, DATA_UPLOAD, DATA_DOWNLOAD, BACKUP_REPOSITORY)
# Kubernetes' controllers that act on what Velero, the CSI driver and the tests make.
_CONTROLLERS: Final = (
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "serviceaccount-controller",
)


class VeleroServer:
    """Velero at work, as a context manager.

    Velero, kube-apiserver, etcd, kube-controller-manager and the S3 server are the real ones. Our plugin is the
    installed executable, which Velero starts; our controller is the installed command. Only storage is played: volumes
    and snapshots are folders. Everything listens on free ports of 127.0.0.1 and keeps its files in one folder, so that
    several of these can run side by side.

    Args:
        binaries: Folder of the peers.
        logs: Folder for every process's output; the only thing that stays.

    Attributes:
        kube: Client of the cluster.
        csi: The storage driver.
        s3: The S3 server that holds backups and repositories.
        kubeconfig: The cluster, for programs.
        folder: Where everything lives.
        executable: Velero's.
    """

    kube: KubeClient
    csi: DirectoryCsi
    s3: S3Server

    def __init__(self, binaries: Path, logs: Path) -> None:
        self._binaries = binaries
        self._logs = logs
        self._stack = contextlib.ExitStack()
        self.executable = binaries / VELERO

    def __enter__(self) -> VeleroServer:
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velero-py-e2e-")))
            self.kubeconfig = self.folder / "kubeconfig"
            self._start_cluster(stack)
            self._install_objects()
            stack.enter_context(self._settling())
            self._start_velero(stack)
            self._start_controller(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # What tests ask for

    def velero(self, *arguments: str) -> str:
        """Runs Velero's command line and returns what it prints."""
        done = subprocess.run(
            [self.executable, "--namespace", VELERO_NAMESPACE, *arguments],
            env=self.environ("command-line"),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"velero {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def back_up(self, name: str, namespace: str, *options: str) -> dict[str, Any]:
        """Backs a namespace up, waits for the end, and returns the Backup."""
        self.velero("backup", "create", name, "--include-namespaces", namespace, "--wait", *options)
        return self.kube.get(BACKUP, name, VELERO_NAMESPACE)

    def restore(self, name: str, backup: str, *options: str) -> dict[str, Any]:
        """Restores a backup, waits for the end, and returns the Restore."""
        self.velero("restore", "create", name, "--from-backup", backup, "--wait", *options)
        return self.kube.get(RESTORE, name, VELERO_NAMESPACE)

    def uploads(self, backup: str) -> list[dict[str, Any]]:
        """The DataUploads of a backup."""
        return self.kube.list(DATA_UPLOAD, VELERO_NAMESPACE, label_selector=f"{BACKUP_NAME_LABEL}={backup}")

    def downloads(self, restore: str) -> list[dict[str, Any]]:
        """The DataDownloads of a restore."""
        return self.kube.list(DATA_DOWNLOAD, VELERO_NAMESPACE, label_selector=f"{RESTORE_NAME_LABEL}={restore}")

    def stored_objects(self, backup: str, resource: ResourceType) -> list[dict[str, Any]]:
        """The objects of one type in the tarball that Velero has stored."""
        key = f"{_PREFIX}/backups/{backup}/{backup}.tar.gz"
        with contextlib.closing(self.s3.client()) as client:
            body = client.get_object(Bucket=self.s3.bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            # The same objects are filed once more under each served version of the type.
            scope = "namespaces" if resource.namespaced else "cluster"
            files = [
                archive.extractfile(member)
                for member in archive.getmembers()
                if member.name.startswith(f"resources/{resource.group_resource}/{scope}/")
            ]
            return [json.load(file) for file in files if file]

    def stored_keys(self, backup: str) -> list[str]:
        """The keys of everything that Velero has stored of a backup."""
        with contextlib.closing(self.s3.client()) as client:
            listing = client.list_objects_v2(Bucket=self.s3.bucket, Prefix=f"{_PREFIX}/backups/{backup}/")
        return [entry["Key"] for entry in listing.get("Contents", ())]

    def repository_url(self, namespace: str) -> str:
        """Where the repository of a namespace's volumes is."""
        return f"{self.s3.url(f'{_PREFIX}/kopia/{namespace}/')}&credentials-file={self.s3.credentials_file}"

    def repository(self, namespace: str) -> Repository:
        """Opens the repository of a namespace's volumes."""
        return open_repository(open_storage(self.repository_url(namespace)), PASSWORD)

    def environ(self, name: str) -> dict[str, str]:
        """The environment of a program: a home of its own, the cluster, and nothing of whoever runs the tests."""
        for kind in ("home", "tmp"):
            (self.folder / name / kind).mkdir(parents=True, exist_ok=True)
        return {
            "HOME": str(self.folder / name / "home"),
            "TMPDIR": str(self.folder / name / "tmp"),
            "PATH": os.defpath,
            "KUBECONFIG": str(self.kubeconfig),
            "VELERO_NAMESPACE": VELERO_NAMESPACE,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def log_position(self) -> int:
        """How long Velero's log is by now."""
        return (self._logs / "velero.log").stat().st_size

    def complaints(self, since: int) -> list[str]:
        """What Velero's log holds from a position on that must not be there.

        Velero's own code may warn; our plugin has nothing to warn of where all goes well, and nobody may panic (of a
        panic in its controllers, Velero's log is the only trace).
        """
        with (self._logs / "velero.log").open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return [line for line in lines if _is_complaint(line)]

    def objects(self) -> Iterator[str]:
        """Says of each object of Velero's how it does, for the report of a failure."""
        for resource in _REPORTED:
            for item in self.kube.list(resource, VELERO_NAMESPACE):
                status = item.get("status") or {}
                words = [
                    str(status[key]) for key in ("phase", "errors", "validationErrors", "message") if key in status
                ]
                yield f"{resource.kind} {item['metadata']['name']}: {', '.join(words)}"

    # How it is put together

    def _start_cluster(self, stack: contextlib.ExitStack) -> None:
        state = self.folder / "cluster"
        state.mkdir()
        server = start_api_server(
            stack, self._binaries, state, self._logs, disabled_admission=("ServiceAccount", "TaintNodesByCondition")
        )
        server.write_kubeconfig(self.kubeconfig)
        self.s3 = stack.enter_context(S3Server(self.folder / "s3"))
        self.kube = stack.enter_context(KubeClient(server.config))
        server.wait_ready(self.kube)
        of_velero = json.loads(self.velero("install", "--crds-only", "--dry-run", "-o", "json"))["items"]
        known = read_definitions(self._binaries / "crds-kubernetes")
        of_snapshots = [each for each in known if each["spec"]["group"] == VOLUME_SNAPSHOT.group]
        install_definitions(self.kube, [*of_velero, *of_snapshots])
        # Started only now, because its garbage collector looks for new types twice a minute.
        command: list[str | Path] = [
            self._binaries / "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(_CONTROLLERS)}",
            "--leader-elect=false",
            "--use-service-account-credentials=false",
            "--secure-port=0",
            # A volume that names its claim without the claim's uid would else bind up to 15 seconds late.
            "--pvclaimbinder-sync-period=1s",
        ]
        stack.enter_context(Process(self._logs / "kube-controller-manager.log", command))

    def _install_objects(self) -> None:
        self.kube.create(NAMESPACE, {"metadata": {"name": VELERO_NAMESPACE}})
        self._secret("cloud-credentials", "cloud", Path(self.s3.credentials_file).read_text(encoding="utf-8"))
        self._secret("velero-repo-credentials", "repository-password", PASSWORD)
        labels = {"deploy": "velero"}
        container = {"name": "velero", "image": "velero/velero:v1.18.3", "command": ["/velero"], "args": ["server"]}
        # Several of Velero's restore actions read its Deployment.
        deployment = {
            "metadata": {"name": "velero"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
        self.kube.create(_DEPLOYMENT, deployment, VELERO_NAMESPACE)
        location = {
            "metadata": {"name": "default"},
            "spec": {
                "default": True,
                "provider": "aws",
                "objectStorage": {"bucket": self.s3.bucket, "prefix": _PREFIX},
                "credential": {"name": "cloud-credentials", "key": "cloud"},
                "config": {
                    "region": self.s3.region,
                    "s3ForcePathStyle": "true",
                    "s3Url": self.s3.endpoint,
                    "checksumAlgorithm": "",
                },
            },
        }
        self.kube.create(BACKUP_STORAGE_LOCATION, location, VELERO_NAMESPACE)
        storage = self.folder / "storage"
        storage.mkdir()
        self.csi = DirectoryCsi(self.kube, storage)
        self.csi.install()

    def _secret(self, name: str, key: str, value: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode()}
        self.kube.create(SECRET, {"metadata": {"name": name}, "data": data}, VELERO_NAMESPACE)

    @contextlib.contextmanager
    def _settling(self) -> Iterator[None]:
        """Lets the CSI driver do its work beside the tests."""
        stop = threading.Event()

        def settle() -> None:
            with (self._logs / "csi.log").open("w", encoding="utf-8") as log:
                while not stop.wait(_POLL_SECONDS):
                    try:
                        self.csi.settle()
                    except errors.Error:
                        # Objects change under its hands; the next pass sees them as they are.
                        traceback.print_exc(file=log)
                        log.flush()

        thread = threading.Thread(target=settle, name="csi")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _start_velero(self, stack: contextlib.ExitStack) -> None:
        plugins = self.folder / "plugins"
        plugins.mkdir()
        shutil.copy2(self._binaries / "plugins" / "velero-plugin-for-aws", plugins)
        shutil.copy2(_installed("velero-py-plugin"), plugins)
        command: list[str | Path] = [
            self.executable,
            "server",
            f"--namespace={VELERO_NAMESPACE}",
            f"--plugin-dir={plugins}",
            "--features=EnableCSI",
            "--item-operation-sync-frequency=1s",
            "--default-item-operation-timeout=5m",
            "--resource-timeout=1m",
            "--metrics-address=127.0.0.1:0",
            "--profiler-address=127.0.0.1:0",
            "--log-level=debug",
            "--log-format=json",
        ]
        # Velero empties and rewrites the file with the location's credentials whenever it starts the plugin that reads
        # it (v1.18.3 internal/credentials/file_store.go); at such a moment another one finds no keys. These come first.
        keys = {"AWS_ACCESS_KEY_ID": self.s3.access_key, "AWS_SECRET_ACCESS_KEY": self.s3.secret_key}
        environ = self.environ("velero") | keys
        process = stack.enter_context(
            Process(self._logs / "velero.log", command, environ=environ, cwd=self.folder / "velero")
        )

        def available() -> bool:
            location = self.kube.get(BACKUP_STORAGE_LOCATION, "default", VELERO_NAMESPACE)
            return bool((location.get("status") or {}).get("phase") == "Available")

        process.wait_for(available)

    def _start_controller(self, stack: contextlib.ExitStack) -> None:
        command: list[str | Path] = [
            _installed("velero-py"),
            "--log-level=info",
            "controller",
            f"--volumes={self.folder / 'storage' / 'volumes'}",
            f"--snapshots={self.folder / 'storage' / 'snapshots'}",
            f"--state={self.folder / 'controller' / 'state'}",
        ]
        stack.enter_context(
            Process(
                self._logs / "controller.log",
                command,
                environ=self.environ("controller"),
                grace=_CONTROLLER_GRACE_SECONDS,
            )
        )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits until something is so; fails the test when it takes too long.

    Args:
        condition: Asked again and again.
        what: What is waited for, for the failure's text.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"after {DEADLINE_SECONDS:.0f} s still not: {what}"
        time.sleep(_POLL_SECONDS)


def ends_well(work: dict[str, Any]) -> bool:
    """Whether a Backup or Restore is complete and has no errors."""
    status = work["status"]
    return (status["phase"], status.get("errors", 0)) == ("Completed", 0)


def _is_complaint(line: str) -> bool:
    entry = json.loads(line) if line.startswith("{") else {"msg": line}
    ours = "velero-py-plugin" in (entry.get("pluginName"), os.path.basename(entry.get("cmd") or ""))
    return "panic" in entry.get("msg", "").lower() or (ours and entry.get("level") not in ("debug", "info"))


def _installed(command: str) -> Path:
    """A command of the package, as it is installed beside the interpreter that runs the tests."""
    path = Path(sys.executable).with_name(command)
    assert path.exists(), f"{path} does not exist: install the package into the tests' environment"
    return path
