"""kopf, the framework of our controller, runs against the embedded API as against a cluster."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from typing import Any

import kopf
import pytest

from velero_py_plugin.api import resource
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

_PATIENCE = 10.0
_NAMESPACE = "velero"


class Operator:
    """A minimal operator that notes every event it is handed.

    Args:
        api: The server.
        registry: More handlers.
    """

    def __init__(self, api: KubernetesApi, registry: kopf.OperatorRegistry) -> None:
        self.seen: queue.Queue[tuple[str | None, str, str]] = queue.Queue()
        self._stop = threading.Event()
        self._ready = threading.Event()

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=api.url, token=api.token)

        @kopf.on.event("velero.io", "v2alpha1", "datauploads", registry=registry)
        def event(type: str | None, name: str, status: Any, **_: Any) -> None:  # noqa: A002 - kopf's own name
            self.seen.put((type, name, status.get("phase", "")))

        settings = kopf.OperatorSettings()
        settings.watching.reconnect_backoff = 0.01
        settings.process.ultimate_exiting_timeout = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(registry, settings)))

    async def _run(self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings) -> None:
        await kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=[_NAMESPACE],
            clusterwide=False,
            standalone=True,
            stop_flag=self._stop,
            ready_flag=self._ready,
        )

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(_PATIENCE)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive()

    def next(self) -> tuple[str | None, str, str]:
        return self.seen.get(timeout=_PATIENCE)


@pytest.fixture
def client(kubernetes_api: KubernetesApi) -> Iterator[KubeClient]:
    with KubeClient(kubernetes_api.kube_config()) as client:
        client.create(resource.NAMESPACE, {"metadata": {"name": _NAMESPACE}})
        yield client


def _data_upload(name: str, namespace: str = _NAMESPACE) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "snapshotType": "CSI",
            "sourcePVC": "data",
            "sourceNamespace": "app",
            "backupStorageLocation": "default",
            "operationTimeout": "10m0s",
        },
    }


def test_operator_sees_everything_and_survives_dropped_watches(
    kubernetes_api: KubernetesApi, client: KubeClient
) -> None:
    client.create(resource.DATA_UPLOAD, _data_upload("existing"))
    operator = Operator(kubernetes_api, kopf.OperatorRegistry())
    operator.start()
    try:
        assert operator.next() == (None, "existing", "")
        client.create(resource.DATA_UPLOAD, _data_upload("made", "default"))
        client.create(resource.DATA_UPLOAD, _data_upload("made"))
        assert operator.next() == ("ADDED", "made", "")

        client.merge_patch(resource.DATA_UPLOAD, "made", {"status": {"phase": "Accepted"}}, _NAMESPACE)
        assert operator.next() == ("MODIFIED", "made", "Accepted")

        kubernetes_api.drop_watches()
        client.merge_patch(resource.DATA_UPLOAD, "made", {"status": {"phase": "Prepared"}}, _NAMESPACE)
        assert operator.next() == ("MODIFIED", "made", "Prepared")

        client.delete(resource.DATA_UPLOAD, "made", _NAMESPACE)
        assert operator.next() == ("DELETED", "made", "Prepared")

        # A watch that cannot go on where it was: the operator lists again.
        kubernetes_api.forget_history()
        client.create(resource.CONFIG_MAP, {"metadata": {"name": "cm", "namespace": _NAMESPACE}})
        kubernetes_api.forget_history()
        kubernetes_api.drop_watches()
        assert operator.next() == (None, "existing", "")
        assert operator.seen.empty()
    finally:
        operator.stop()


def test_operator_holds_objects_and_posts_events(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    registry = kopf.OperatorRegistry()
    deleted = threading.Event()

    @kopf.on.delete("velero.io", "v2alpha1", "datauploads", registry=registry)
    def delete(body: kopf.Body, **_: Any) -> None:
        kopf.event(body, type="Normal", reason="Released", message="nothing holds it any more")
        deleted.set()

    operator = Operator(kubernetes_api, registry)
    operator.start()
    try:
        made = client.create(resource.DATA_UPLOAD, _data_upload("held"))
        events = client.watch(resource.DATA_UPLOAD, _NAMESPACE, resource_version=made["metadata"]["resourceVersion"])
        assert next(events).object["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        client.delete(resource.DATA_UPLOAD, "held", _NAMESPACE)
        assert deleted.wait(_PATIENCE)
        while next(events).type != "DELETED":
            pass
        events.close()
        posted = client.watch(resource.EVENT, _NAMESPACE)
        event = next(each.object for each in posted if each.object["reason"] == "Released")
        assert event["involvedObject"]["uid"] == made["metadata"]["uid"]
        assert event["message"] == "nothing holds it any more"
        posted.close()
    finally:
        operator.stop()
