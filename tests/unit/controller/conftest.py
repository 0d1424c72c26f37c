"""Fixtures of the controller's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.controller.environment import NAMESPACE_OF_VELERO, Environment
from velero_py_plugin.api.resource import NAMESPACE
from velero_py_plugin.controller.exposer.local_process import LocalProcessExposer
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.csi_directory import DirectoryCsi
from velero_py_plugin.testing.kubernetes_api import KubernetesApi


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """A cluster with a storage location, a ready snapshot and a mover that completes at once."""
    storage = tmp_path / "storage"
    storage.mkdir()
    with KubernetesApi() as api, KubeClient(api.kube_config(), timeout=5, retry_seconds=0) as kube:
        for name in (NAMESPACE_OF_VELERO, "app"):
            kube.create(NAMESPACE, {"metadata": {"name": name}})
        csi = DirectoryCsi(kube, storage)
        csi.install()
        environment = Environment(api, kube, csi, tmp_path)
        environment.make_location()
        environment.program("progress(5, 10)\ncompleted()\n")
        yield environment


@pytest.fixture
def exposer(environment: Environment) -> Iterator[LocalProcessExposer]:
    with environment.exposer() as exposer:
        yield exposer
