"""Kubernetes API servers: the embedded one, and a real kube-apiserver with etcd as plain processes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control_plane import install_definitions, read_definitions, start_api_server
from tests.support.process import find_peers
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import KubeConfig
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

pytest.register_assert_rewrite("tests.interop.kubernetes.contract")


@pytest.fixture
def kubernetes_api() -> Iterator[KubernetesApi]:
    """A fresh embedded Kubernetes API server."""
    with KubernetesApi() as api:
        yield api


@pytest.fixture(scope="session")
def real_kubernetes() -> Iterator[KubeConfig]:
    """A real kube-apiserver with etcd, Velero's types and the snapshot types; no controllers, no node."""
    binaries = find_peers("kubernetes/build.sh", "etcd", "kube-apiserver", "crds-kubernetes")
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velero-py-plugin-kubernetes-")))
        # Their controllers do not run: no ServiceAccount would ever come, no claim could ever be deleted.
        admission = ("ServiceAccount", "TaintNodesByCondition", "StorageObjectInUseProtection")
        server = start_api_server(stack, binaries, state, state, disabled_admission=admission)
        with KubeClient(server.config) as client:
            server.wait_ready(client)
            install_definitions(client, read_definitions(binaries / "crds-kubernetes"))
        yield server.config
