"""One embedded API server per test, and a client that gives up at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.actions.sample import BACKUP
from velero_py_plugin.api.resource import BACKUP as BACKUP_TYPE
from velero_py_plugin.api.resource import NAMESPACE
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.kubernetes_api import KubernetesApi


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as server:
        yield server


@pytest.fixture
def kube(api: KubernetesApi) -> Iterator[KubeClient]:
    with KubeClient(api.kube_config(), timeout=5, retry_seconds=0) as client:
        for namespace in ("velero", "app"):
            client.create(NAMESPACE, {"metadata": {"name": namespace}})
        yield client


@pytest.fixture
def backup(kube: KubeClient) -> dict[str, Any]:
    """A Backup in progress; what it owns would be collected as garbage without it."""
    return kube.create(BACKUP_TYPE, BACKUP)
