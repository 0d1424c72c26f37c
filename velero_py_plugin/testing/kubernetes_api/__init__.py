"""A Kubernetes API server inside a Python process, for tests and demonstrations."""

from velero_py_plugin.testing.kubernetes_api.server import KubernetesApi

__all__ = ["KubernetesApi"]
