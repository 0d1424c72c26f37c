"""What the embedded API offers beyond the contract: faults, files, limits, honest refusals."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from velero_py_plugin.api import resource
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.client import KubeClient
from velero_py_plugin.kube.config import load_config
from velero_py_plugin.testing.kubernetes_api import KubernetesApi

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def client(kubernetes_api: KubernetesApi) -> Iterator[KubeClient]:
    with KubeClient(kubernetes_api.kube_config(), retry_seconds=0) as client:
        yield client


def _config_map(name: str = "cm", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default", **metadata}}


def _send(api: KubernetesApi, method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        method,
        api.url + path,
        body=None if body is None else json.dumps(body),
        headers={
            "Authorization": f"Bearer {api.token}",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
        retries=False,
    )


def test_two_servers_share_nothing(kubernetes_api: KubernetesApi, client: KubeClient) -> None:
    client.create(resource.CONFIG_MAP, _config_map())
    with KubernetesApi() as other, KubeClient(other.kube_config()) as other_client:
        assert other.url != kubernetes_api.url
        assert other.token != kubernetes_api.token
        assert other_client.list(resource.CONFIG_MAP) == []


def test_nothing_listens_after_close() -> None:
    with KubernetesApi() as api:
        config = api.kube_config()
    with (
        KubeClient(config, retry_seconds=0) as client,
        pytest.raises(errors.ApiUnavailableError, match="refused"),
    ):
        client.list(resource.CONFIG_MAP)
    assert not any(thread.name == "kubernetes-api" for thread in threading.enumerate())


def test_close_does_not_wait_for_watches() -> None:
    with KubernetesApi() as api, KubeClient(api.kube_config()) as client:
        client.create(resource.CONFIG_MAP, _config_map())
        events = client.watch(resource.CONFIG_MAP, timeout_seconds=600)
        next(events)
    assert list(events) == []


def test_failure_to_start_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        KubernetesApi(history=-1).start()


def test_kubeconfig_file(kubernetes_api: KubernetesApi, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubernetes_api.write_kubeconfig(path, namespace="velero")
    assert load_config({"KUBECONFIG": str(path)}) == kubernetes_api.kube_config(namespace="velero")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_namespaces_of_a_fresh_cluster(client: KubeClient) -> None:
    names = [each["metadata"]["name"] for each in client.list(resource.NAMESPACE)]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]


class TestFaults:
    def test_only_what_was_asked_for_fails(self, kubernetes_api: KubernetesApi, client: KubeClient) -> None:
        kubernetes_api.fail_next("POST", "/configmaps$", 500, count=2)
        client.create(resource.SECRET, _config_map("other-path"))
        client.list(resource.CONFIG_MAP)
        for _ in range(2):
            with pytest.raises(errors.ApiUnavailableError, match="a test asked for this failure"):
                client.create(resource.CONFIG_MAP, _config_map())
        client.create(resource.CONFIG_MAP, _config_map())

    def test_watches_are_told_apart_from_reads(self, kubernetes_api: KubernetesApi, client: KubeClient) -> None:
        kubernetes_api.fail_next("WATCH", "configmaps", 403)
        client.list(resource.CONFIG_MAP)
        with pytest.raises(errors.ForbiddenError):
            next(client.watch(resource.CONFIG_MAP))

    def test_retry_after(self, kubernetes_api: KubernetesApi) -> None:
        kubernetes_api.fail_next("GET", "", 429, retry_after=7)
        answer = _send(kubernetes_api, "GET", CONFIG_MAPS)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.json()["code"] == 429

    @pytest.mark.parametrize("processed", [False, True])
    def test_broken_connection(self, kubernetes_api: KubernetesApi, client: KubeClient, processed: bool) -> None:
        kubernetes_api.drop_next("POST", "configmaps", processed=processed)
        with pytest.raises(errors.ApiUnavailableError):
            client.create(resource.CONFIG_MAP, _config_map())
        assert len(client.list(resource.CONFIG_MAP)) == processed


class TestHistory:
    def test_is_bounded(self) -> None:
        with KubernetesApi(history=3) as api, KubeClient(api.kube_config()) as client:
            versions = [
                client.create(resource.CONFIG_MAP, _config_map(name))["metadata"]["resourceVersion"] for name in "abcd"
            ]
            events = client.watch(resource.CONFIG_MAP, resource_version=versions[0], timeout_seconds=1)
            assert [event.object["metadata"]["name"] for event in events] == ["b", "c", "d"]
            before = str(int(versions[0]) - 1)
            with pytest.raises(errors.GoneError):
                next(client.watch(resource.CONFIG_MAP, resource_version=before))

    def test_pages_expire_with_it(self, kubernetes_api: KubernetesApi, client: KubeClient) -> None:
        for name in "abc":
            client.create(resource.CONFIG_MAP, _config_map(name))
        token = _send(kubernetes_api, "GET", f"{CONFIG_MAPS}?limit=1").json()["metadata"]["continue"]
        client.delete(resource.CONFIG_MAP, "c", "default")
        kubernetes_api.forget_history()
        answer = _send(kubernetes_api, "GET", f"{CONFIG_MAPS}?limit=1&continue={token}")
        assert (answer.status, answer.json()["reason"]) == (410, "Expired")

    def test_exact_version(self, kubernetes_api: KubernetesApi, client: KubeClient) -> None:
        version = client.create(resource.CONFIG_MAP, _config_map("a"))["metadata"]["resourceVersion"]
        client.create(resource.CONFIG_MAP, _config_map("b"))
        query = f"resourceVersion={version}&resourceVersionMatch=Exact"
        found = _send(kubernetes_api, "GET", f"{CONFIG_MAPS}?{query}").json()
        assert [each["metadata"]["name"] for each in found["items"]] == ["a"]


class TestHonesty:
    """What is missing is refused, never pretended."""

    @pytest.mark.parametrize(
        ("method", "path", "body", "headers", "what"),
        [
            ("POST", CONFIG_MAPS + "?dryRun=All", _config_map(), {}, "dry runs"),
            ("GET", "/api/v1/namespaces/default/pods/p/log", None, {}, "pods/log"),
            ("POST", "/api/v1/namespaces/default/pods/p/exec", {}, {}, "pods/exec"),
            (
                "PATCH",
                CONFIG_MAPS + "/cm",
                {},
                {"Content_Type": "application/strategic-merge-patch+json"},
                "strategic merge patches",
            ),
            ("PATCH", CONFIG_MAPS + "/cm", {}, {"Content_Type": "application/apply-patch+yaml"}, "server-side apply"),
            ("DELETE", CONFIG_MAPS + "/cm", {"propagationPolicy": "Foreground"}, {}, "in the background"),
            ("DELETE", CONFIG_MAPS + "/cm?propagationPolicy=Orphan", None, {}, "in the background"),
            ("DELETE", CONFIG_MAPS + "/cm", {"orphanDependents": True}, {}, "in the background"),
        ],
    )
    def test_not_implemented(
        self,
        kubernetes_api: KubernetesApi,
        client: KubeClient,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str],
        what: str,
    ) -> None:
        client.create(resource.CONFIG_MAP, _config_map())
        answer = _send(kubernetes_api, method, path, body, **headers)
        assert answer.status == 501
        assert answer.json()["message"] == f"the embedded Kubernetes API does not implement {what}" or (
            what in answer.json()["message"]
        )
        client.get(resource.CONFIG_MAP, "cm", "default")

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_definitions_are_read_only(self, kubernetes_api: KubernetesApi, method: str) -> None:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        path += "" if method == "POST" else "/datauploads.velero.io"
        assert _send(kubernetes_api, method, path, {}).status == 405

    def test_merge_patch_that_is_no_object(self, kubernetes_api: KubernetesApi, client: KubeClient) -> None:
        client.create(resource.CONFIG_MAP, _config_map())
        answer = _send(kubernetes_api, "PATCH", CONFIG_MAPS + "/cm", [1], Content_Type="application/merge-patch+json")
        assert answer.status == 400


class TestDeletion:
    def test_grace_can_only_be_shortened(self, client: KubeClient) -> None:
        spec = {"containers": [{"name": "a", "image": "i"}], "nodeName": "n", "terminationGracePeriodSeconds": 60}
        client.create(resource.POD, {**_config_map("pod"), "spec": spec})
        seen = []
        for grace in (None, 90, 5):
            client.delete(resource.POD, "pod", "default", grace_seconds=grace)
            seen.append(client.get(resource.POD, "pod", "default")["metadata"]["deletionGracePeriodSeconds"])
        assert seen == [60, 60, 5]

    def test_owner_of_a_type_that_is_not_served_is_left_alone(self, client: KubeClient) -> None:
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"}
        client.create(resource.CONFIG_MAP, _config_map(ownerReferences=[owner]))
        client.create(resource.CONFIG_MAP, _config_map("later"))
        assert len(client.list(resource.CONFIG_MAP)) == 2

    def test_dependents_of_dependents(self, client: KubeClient) -> None:
        previous: dict[str, Any] = {}
        for name in "abc":
            references = (
                []
                if not previous
                else [{"apiVersion": "v1", "kind": "ConfigMap", **{k: previous[k] for k in ("name", "uid")}}]
            )
            previous = client.create(resource.CONFIG_MAP, _config_map(name, ownerReferences=references))["metadata"]
        start = previous["resourceVersion"]
        client.delete(resource.CONFIG_MAP, "a", "default")
        events = client.watch(resource.CONFIG_MAP, "default", resource_version=start)
        assert [next(events).object["metadata"]["name"] for _ in "abc"] == ["a", "b", "c"]
