"""The connection of a plugin process to its cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from velero_py_plugin.actions.cluster import cluster_client
from velero_py_plugin.actions.pvc_backup import PVCBackupAction
from velero_py_plugin.api.resource import NAMESPACE
from velero_py_plugin.kube.errors import KubeConfigError
from velero_py_plugin.testing.kubernetes_api import KubernetesApi


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster_client.cache_clear()
    yield
    cluster_client.cache_clear()


def test_the_environment_names_the_cluster_and_one_client_serves_all(
    api: KubernetesApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    api.write_kubeconfig(tmp_path / "config")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    client = cluster_client()
    assert client.get(NAMESPACE, "default")["metadata"]["name"] == "default"
    assert cluster_client() is client
    client.close()


def test_without_a_cluster_an_operation_fails_with_the_reason() -> None:
    with pytest.raises(KubeConfigError):
        PVCBackupAction().progress("du-1", {"metadata": {"namespace": "velero"}})
