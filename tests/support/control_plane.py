"""A real kube-apiserver with etcd, as plain processes."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.process import START_SECONDS, Process, free_port
from velero_py_plugin import errors as root_errors
from velero_py_plugin.api import resource
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import KubeConfig

_TOKEN: Final = "static-token-of-the-tests"
_POLL_SECONDS: Final = 0.05
_DEFINITION: Final = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


@dataclasses.dataclass(frozen=True)
class ApiServer:
    """A kube-apiserver that was started.

    Attributes:
        config: Address and an identity that may do everything.
        process: The server.
    """

    config: KubeConfig
    process: Process

    def wait_ready(self, client: KubeClient) -> None:
        """Waits until it takes every request; fails the test when it does not get there."""

        def ready() -> bool:
            try:
                # The last thing that a fresh server sets up before it can take every request.
                client.get(resource.NAMESPACE, "default")
            except (root_errors.TemporaryError, errors.NotFoundError, errors.ForbiddenError):
                return False
            return True

        self.process.wait_for(ready)

    def write_kubeconfig(self, path: Path) -> None:
        """Writes address and identity for programs that read a kubeconfig file."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "tests",
                    "cluster": {"server": self.config.server, "certificate-authority": self.config.ca_file},
                }
            ],
            "users": [{"name": "admin", "user": {"token": self.config.token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
            "current-context": "tests",
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")


def start_api_server(
    stack: contextlib.ExitStack, binaries: Path, state: Path, logs: Path, *, disabled_admission: Iterable[str]
) -> ApiServer:
    """Starts etcd and kube-apiserver on free ports.

    Args:
        stack: Ends them.
        binaries: Folder of both programs.
        state: Folder for their data.
        logs: Folder for their output.
        disabled_admission: Admission plugins whose controllers do not run.
    """
    etcd_url = _start_etcd(stack, binaries / "etcd", state, logs)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (state / "sa.key").write_bytes(key)
    (state / "tokens.csv").write_text(f'{_TOKEN},admin,admin,"system:masters"\n', encoding="utf-8")
    port = free_port()
    command: list[str | Path] = [
        binaries / "kube-apiserver",
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
        f"--disable-admission-plugins={','.join(disabled_admission)}",
    ]
    # It waits up to a minute for open watches, hence its short grace.
    process = stack.enter_context(Process(logs / "kube-apiserver.log", command))
    certificate = state / "certs" / "apiserver.crt"
    process.wait_for(certificate.exists)
    return ApiServer(KubeConfig(server=f"https://127.0.0.1:{port}", token=_TOKEN, ca_file=str(certificate)), process)


def _start_etcd(stack: contextlib.ExitStack, binary: Path, state: Path, logs: Path) -> str:
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command: list[str | Path] = [
        binary,
        f"--data-dir={state / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]
    stack.enter_context(Process(logs / "etcd.log", command))
    return client


def read_definitions(folder: Path) -> Iterator[dict[str, Any]]:
    """Reads the CustomResourceDefinitions in a folder's YAML files."""
    for path in sorted(folder.iterdir()):
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def install_definitions(client: KubeClient, definitions: Iterable[dict[str, Any]]) -> None:
    """Creates CustomResourceDefinitions and waits until their types are served."""
    names = [client.create(_DEFINITION, document)["metadata"]["name"] for document in definitions]
    deadline = time.monotonic() + START_SECONDS
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
