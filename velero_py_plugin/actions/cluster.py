"""The plugin's connection to the cluster, made when an action first needs it.

Velero starts a fresh plugin process for every look at a running operation, and most calls of most processes (listing,
selecting, skipping) need no API server at all, so neither the client's modules nor its credentials are loaded before.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from velero_py_plugin.kube.client import KubeClient

ClientFactory: TypeAlias = "Callable[[], KubeClient]"

_TIMEOUT_SECONDS: Final = 30.0


@functools.cache
def cluster_client() -> KubeClient:
    """The client of this process for the cluster it runs in, or that its environment names.

    Raises:
        velero_py_plugin.errors.PermanentError: There is no usable cluster configuration.
    """
    from velero_py_plugin.kube.client import KubeClient  # noqa: PLC0415 - HTTP and TLS modules cost start-up time
    from velero_py_plugin.kube.config import load_config  # noqa: PLC0415 - as above

    return KubeClient(load_config(os.environ), timeout=_TIMEOUT_SECONDS)
