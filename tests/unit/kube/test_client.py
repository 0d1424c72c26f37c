from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.kube.scripted import Reply, ScriptedServer
from velero_py_plugin import errors as root_errors
from velero_py_plugin.api import resource
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import KubeConfig
from velero_py_plugin.testing.kubernetes_api import KubernetesApi


@pytest.fixture
def client(kubernetes_api: KubernetesApi) -> Iterator[KubeClient]:
    with KubeClient(kubernetes_api.kube_config()) as client:
        yield client


def _config_map(name: str = "cm") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"n": "0"}}


def test_paths() -> None:
    with ScriptedServer(Reply()) as server, KubeClient(KubeConfig(server=server.url)) as client:
        client.get(resource.PV, "pv")
        client.get(resource.CONFIG_MAP, "cm", "ns")
        client.get(resource.DATA_UPLOAD, "du", "ns")
        client.list(resource.DATA_UPLOAD)
        client.list(resource.VOLUME_SNAPSHOT_CONTENT, label_selector="a in (b)", field_selector="metadata.name=c")
        client.merge_patch(resource.PVC, "pvc", {}, "ns", status=True)
        client.replace(resource.LEASE, {"metadata": {"name": "l", "namespace": "ns"}})
        client.delete(resource.POD, "pod", "ns", uid="u", grace_seconds=0)
        client.create(resource.DATA_UPLOAD, {"metadata": {"namespace": "from-body"}}, "given")
    selectors = "labelSelector=a+in+%28b%29&fieldSelector=metadata.name%3Dc"
    assert [f"{asked.method} {asked.path}" for asked in server.asked] == [
        "GET /api/v1/persistentvolumes/pv",
        "GET /api/v1/namespaces/ns/configmaps/cm",
        "GET /apis/velero.io/v2alpha1/namespaces/ns/datauploads/du",
        "GET /apis/velero.io/v2alpha1/datauploads?limit=500",
        f"GET /apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents?{selectors}&limit=500",
        "PATCH /api/v1/namespaces/ns/persistentvolumeclaims/pvc/status",
        "PUT /apis/coordination.k8s.io/v1/namespaces/ns/leases/l",
        "DELETE /api/v1/namespaces/ns/pods/pod",
        "POST /apis/velero.io/v2alpha1/namespaces/given/datauploads",
    ]
    assert server.asked[-2].json == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
        "gracePeriodSeconds": 0,
    }
    assert server.asked[-1].json == {
        "apiVersion": "velero.io/v2alpha1",
        "kind": "DataUpload",
        "metadata": {"namespace": "from-body"},
    }


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "%2e", "../datauploads"])
def test_names_that_would_address_something_else(name: str) -> None:
    with ScriptedServer(Reply()) as server, KubeClient(KubeConfig(server=server.url)) as client:
        with pytest.raises(errors.InvalidObjectError, match="not the name of a Kubernetes object"):
            client.delete(resource.DATA_UPLOAD, name, "velero")
        if name:
            with pytest.raises(errors.InvalidObjectError, match="not the name of a Kubernetes object"):
                client.list(resource.DATA_UPLOAD, name)
    assert server.asked == []


def test_names_are_quoted() -> None:
    with ScriptedServer(Reply()) as server, KubeClient(KubeConfig(server=server.url)) as client:
        client.get(resource.PV, "a?b#c ü")
    assert server.asked[0].path == "/api/v1/persistentvolumes/a%3Fb%23c%20%C3%BC"


def test_namespace_must_be_given() -> None:
    with KubeClient(KubeConfig(server="http://127.0.0.1:1")) as client:
        for call in (
            lambda: client.get(resource.DATA_UPLOAD, "du"),
            lambda: client.create(resource.DATA_UPLOAD, {}),
            lambda: client.replace(resource.DATA_UPLOAD, {"metadata": {"name": "du"}}),
            lambda: client.delete(resource.DATA_UPLOAD, "du"),
        ):
            with pytest.raises(root_errors.UsageError, match="A DataUpload lives in a namespace"):
                call()


def test_bodies_are_not_changed(client: KubeClient) -> None:
    body = _config_map()
    client.create(resource.CONFIG_MAP, body)
    assert body == _config_map()


def test_list_starts_again_when_its_continuation_has_expired() -> None:
    gone = {"kind": "Status", "reason": "Expired", "message": "the continue parameter is too old"}
    one = {"metadata": {"continue": "token"}, "items": [{"metadata": {"name": "a"}}]}
    full = {"metadata": {}, "items": [{"metadata": {"name": name}} for name in "ab"]}
    with (
        ScriptedServer(Reply(body=one), Reply(410, gone), Reply(body=full)) as server,
        KubeClient(KubeConfig(server=server.url)) as client,
    ):
        found = client.list(resource.CONFIG_MAP, label_selector="x")
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    assert [asked.path.partition("?")[2] for asked in server.asked] == [
        "labelSelector=x&limit=500",
        "labelSelector=x&limit=500&continue=token",
        "labelSelector=x",
    ]


def test_lost_answer_of_a_create_is_not_repeated(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    kubernetes_api.drop_next("POST", "configmaps", processed=True)
    with pytest.raises(errors.ApiUnavailableError):
        client.create(resource.CONFIG_MAP, {"metadata": {"generateName": "cm-", "namespace": "default"}})
    assert len(client.list(resource.CONFIG_MAP, "default")) == 1


def test_lost_answer_of_a_patch_is_repeated(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    client.create(resource.CONFIG_MAP, _config_map())
    kubernetes_api.drop_next("PATCH", "configmaps", processed=True)
    changed = client.merge_patch(resource.CONFIG_MAP, "cm", {"data": {"n": "1"}}, "default")
    assert changed["data"] == {"n": "1"}


def test_first_request_of_a_type_may_be_put_off(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    kubernetes_api.fail_next("GET", "datauploads$", 429, count=2, retry_after=0)
    assert client.list(resource.DATA_UPLOAD, "velero") == []


def test_watch_ends_quietly_when_its_connection_breaks(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    client.create(resource.CONFIG_MAP, _config_map())
    seen = []
    for event in client.watch(resource.CONFIG_MAP, "default", timeout_seconds=60):
        seen.append(event)
        kubernetes_api.drop_watches()
    assert [event.object["metadata"]["name"] for event in seen] == ["cm"]
    client.merge_patch(resource.CONFIG_MAP, "cm", {"data": {"n": "1"}}, "default")
    resumed = client.watch(resource.CONFIG_MAP, "default", resource_version=seen[-1].resource_version)
    event = next(resumed)
    assert (event.type, event.object["data"]) == ("MODIFIED", {"n": "1"})


def test_watch_of_a_forgotten_version(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    version = client.create(resource.CONFIG_MAP, _config_map())["metadata"]["resourceVersion"]
    client.delete(resource.CONFIG_MAP, "cm", "default")
    kubernetes_api.forget_history()
    with pytest.raises(errors.GoneError, match="too old resource version"):
        next(client.watch(resource.CONFIG_MAP, "default", resource_version=version))


def test_watch_that_is_refused(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    kubernetes_api.fail_next("WATCH", "configmaps", 403)
    with pytest.raises(errors.ForbiddenError):
        next(client.watch(resource.CONFIG_MAP, "default"))


def test_error_inside_a_watch() -> None:
    line = b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"storage broke"}}\n'
    with (
        ScriptedServer(Reply(body=line)) as server,
        KubeClient(KubeConfig(server=server.url)) as client,
        pytest.raises(errors.ApiUnavailableError, match="storage broke"),
    ):
        next(client.watch(resource.CONFIG_MAP))


def test_many_threads(client: KubeClient) -> None:
    def write(thread: int) -> None:
        for number in range(10):
            client.create(resource.CONFIG_MAP, _config_map(f"cm-{thread}-{number}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.list(resource.CONFIG_MAP, "default")) == 120
