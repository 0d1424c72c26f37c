"""The embedded API server keeps the contract a real one keeps (``tests/interop/kubernetes`` runs it there)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.kubernetes.contract.cluster import Cluster
from tests.interop.kubernetes.contract.suite import ControlPlaneContract
from velero_py_plugin.api import resource
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.kubernetes_api import KubernetesApi


@pytest.fixture(scope="module")
def shared_api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as api:
        yield api


@pytest.fixture(scope="module")
def client(shared_api: KubernetesApi) -> Iterator[KubeClient]:
    with KubeClient(shared_api.kube_config()) as client:
        yield client


@pytest.fixture
def cluster(shared_api: KubernetesApi, client: KubeClient) -> Iterator[Cluster]:
    namespace = client.create(resource.NAMESPACE, {"metadata": {"generateName": "contract-"}})
    cluster = Cluster(shared_api.kube_config(), client, namespace["metadata"]["name"], embedded=True)
    yield cluster
    cluster.close()


class TestEmbeddedApiServer(ControlPlaneContract):
    pass
