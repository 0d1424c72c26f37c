"""The API server a contract case runs against, and the objects the cases make."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import time
import urllib.parse
from collections.abc import Callable, Generator, Mapping
from typing import Any

import urllib3

from velero_py_plugin.kube.client import KubeClient, WatchEvent
from velero_py_plugin.kube.config import KubeConfig

DATA_UPLOADS = "/apis/velero.io/v2alpha1/namespaces/{namespace}/datauploads"
CONFIG_MAPS = "/api/v1/namespaces/{namespace}/configmaps"
_PATIENCE = 10.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came over the wire."""

    code: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Cluster:
    """One API server and one namespace of it that belongs to the case alone.

    Attributes:
        config: The server and the identity.
        client: Our client for it.
        namespace: The case's namespace.
        embedded: Whether the server is the embedded one.
    """

    def __init__(self, config: KubeConfig, client: KubeClient, namespace: str, *, embedded: bool) -> None:
        self.config = config
        self.client = client
        self.namespace = namespace
        self.embedded = embedded
        self._pool = urllib3.PoolManager(ca_certs=config.ca_file or None)

    def close(self) -> None:
        self._pool.clear()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends a request as it is, without our client; ``{namespace}`` in the path is filled in."""
        authorization = {"Authorization": f"Bearer {self.config.token if token is None else token}"}
        encoded = f"?{urllib.parse.urlencode(query)}" if query else ""
        response = self._pool.request(
            method,
            self.config.server + path.format(namespace=self.namespace) + encoded,
            body=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
            headers={**(authorization if token != "" else {}), "Content-Type": content_type},
            retries=False,
            timeout=10,
        )
        return Answer(response.status, response.data.decode())

    def lines(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Reads a watch to its end."""
        answer = self.send("GET", path, query={"watch": "true", "timeoutSeconds": "1", **query})
        assert answer.code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def data_upload(self, name: str = "", **metadata: Any) -> dict[str, Any]:
        """A valid DataUpload, not yet created."""
        return {
            "apiVersion": "velero.io/v2alpha1",
            "kind": "DataUpload",
            "metadata": {"namespace": self.namespace, **({"name": name} if name else {}), **metadata},
            "spec": {
                "snapshotType": "CSI",
                "csiSnapshot": {"volumeSnapshot": "s", "storageClass": "fast"},
                "sourcePVC": "data",
                "sourceNamespace": "app",
                "backupStorageLocation": "default",
                "operationTimeout": "10m0s",
            },
        }

    def config_map(self, name: str, **metadata: Any) -> dict[str, Any]:
        """A ConfigMap, not yet created."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": self.namespace, "name": name, **metadata},
            "data": {"key": "value"},
        }


def take(events: Generator[WatchEvent, None, None], count: int) -> list[WatchEvent]:
    """The first events of a watch, which ends there."""
    with contextlib.closing(events):
        return list(itertools.islice(events, count))


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Polls until a condition holds."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)
