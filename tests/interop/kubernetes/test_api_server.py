"""A real kube-apiserver keeps the contract the embedded one is held to.

Its controller manager does not run here, so the garbage collector and the namespace controller are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.kubernetes.contract.cluster import Cluster
from tests.interop.kubernetes.contract.suite import ApiServerContract
from velero_py_plugin.api import resource
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import KubeConfig


@pytest.fixture(scope="module")
def client(real_kubernetes: KubeConfig) -> Iterator[KubeClient]:
    with KubeClient(real_kubernetes) as client:
        yield client


@pytest.fixture
def cluster(real_kubernetes: KubeConfig, client: KubeClient) -> Iterator[Cluster]:
    namespace = client.create(resource.NAMESPACE, {"metadata": {"generateName": "contract-"}})
    cluster = Cluster(real_kubernetes, client, namespace["metadata"]["name"], embedded=False)
    yield cluster
    cluster.close()


class TestRealApiServer(ApiServerContract):
    pass
