"""Kubernetes API servers: the embedded one, and a real kube-apiserver with etcd as plain processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from velero_py_plugin import errors as root_errors
from velero_py_plugin.api import resource
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import KubeConfig
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

pytest.register_assert_rewrite("tests.interop.kubernetes.contract")

_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_TOKEN = "static-token-of-the-tests"
_DEFINITION = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


@pytest.fixture
def kubernetes_api() -> Iterator[KubernetesApi]:
    """A fresh embedded Kubernetes API server."""
    with KubernetesApi() as api:
        yield api


@pytest.fixture(scope="session")
def real_kubernetes() -> Iterator[KubeConfig]:
    """A real kube-apiserver with etcd, Velero's types and the snapshot types; no controllers, no node."""
    binaries = Path(os.environ.get("PEERS_BIN") or Path.home() / ".cache/velero-py-plugin/peers/bin")
    needed = [binaries / name for name in ("etcd", "kube-apiserver", "crds-kubernetes")]
    missing = [path.name for path in needed if not path.exists()]
    if missing:
        message = f"missing {', '.join(missing)}: build them with tests/peers/kubernetes/build.sh"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velero-py-plugin-kubernetes-")))
        etcd_url = _start_etcd(stack, binaries / "etcd", state)
        config, server = _start_api_server(stack, binaries / "kube-apiserver", state, etcd_url)
        with KubeClient(config) as client:
            _wait_ready(client, server, state / "kube-apiserver.log")
            _install_definitions(client, binaries / "crds-kubernetes")
        yield config


def _start_etcd(stack: contextlib.ExitStack, binary: Path, state: Path) -> str:
    client, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
    _start(
        stack,
        state / "etcd.log",
        [
            str(binary),
            f"--data-dir={state / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ],
    )
    return client


def _start_api_server(
    stack: contextlib.ExitStack, binary: Path, state: Path, etcd_url: str
) -> tuple[KubeConfig, subprocess.Popen[bytes]]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (state / "sa.key").write_bytes(key)
    (state / "tokens.csv").write_text(f'{_TOKEN},admin,admin,"system:masters"\n')
    port = _free_port()
    server = _start(
        stack,
        state / "kube-apiserver.log",
        [
            str(binary),
            f"--etcd-servers={etcd_url}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={state / 'certs'}",
            f"--token-auth-file={state / 'tokens.csv'}",
            "--anonymous-auth=false",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={state / 'sa.key'}",
            f"--service-account-signing-key-file={state / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            # Their controllers do not run: no ServiceAccount would ever come, no claim could ever be deleted.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,StorageObjectInUseProtection",
        ],
    )
    certificate = state / "certs" / "apiserver.crt"
    _wait_for(certificate.exists, server, state / "kube-apiserver.log")
    return KubeConfig(server=f"https://127.0.0.1:{port}", token=_TOKEN, ca_file=str(certificate)), server


def _start(stack: contextlib.ExitStack, log: Path, command: list[str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(2)  # the API server waits up to a minute for open watches
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_ready(client: KubeClient, server: subprocess.Popen[bytes], log: Path) -> None:
    def ready() -> bool:
        try:
            # The last thing that a fresh server sets up before it can take every request.
            client.get(resource.NAMESPACE, "default")
        except (root_errors.TemporaryError, errors.NotFoundError, errors.ForbiddenError):
            return False
        return True

    _wait_for(ready, server, log)


def _install_definitions(client: KubeClient, folder: Path) -> None:
    names = []
    for path in sorted(folder.iterdir()):
        for document in yaml.safe_load_all(path.read_text()):
            client.create(_DEFINITION, document)
            names.append(document["metadata"]["name"])
    deadline = time.monotonic() + _START_SECONDS
    for name in names:
        while not _served(client, name):
            assert time.monotonic() < deadline, f"{name} was not established"
            time.sleep(_POLL_SECONDS)


def _served(client: KubeClient, name: str) -> bool:
    definition: dict[str, Any] = client.get(_DEFINITION, name)
    conditions = definition.get("status", {}).get("conditions", [])
    if not any((each["type"], each["status"]) == ("Established", "True") for each in conditions):
        return False
    spec = definition["spec"]
    version = next(each["name"] for each in spec["versions"] if each["served"])
    try:
        client.list(ResourceType(spec["group"], version, spec["names"]["plural"], spec["names"]["kind"]))
    except errors.TypeNotServedError:
        return False
    return True


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{log.stem} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(_POLL_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
