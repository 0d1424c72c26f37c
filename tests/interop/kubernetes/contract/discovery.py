"""Contract: discovery documents, authentication, methods and paths."""

from __future__ import annotations

import dataclasses

import pytest

from tests.interop.kubernetes.contract.cluster import CONFIG_MAPS, DATA_UPLOADS, Cluster
from velero_py_plugin.api import resource
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.client import KubeClient

_DEFINITION = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


class DiscoveryContract:
    """What the server says it serves."""

    def test_version(self, cluster: Cluster) -> None:
        version = cluster.send("GET", "/version").json
        assert (version["major"], version["minor"]) == ("1", "34")
        assert version["gitVersion"].startswith("v1.34.")

    def test_core_versions(self, cluster: Cluster) -> None:
        document = cluster.send("GET", "/api").json
        assert (document["kind"], document["versions"]) == ("APIVersions", ["v1"])

    def test_groups(self, cluster: Cluster) -> None:
        groups = {group["name"]: group for group in cluster.send("GET", "/apis").json["groups"]}
        for resource_type in resource.ALL:
            if resource_type.group:
                versions = [version["version"] for version in groups[resource_type.group]["versions"]]
                assert resource_type.version in versions
        velero = groups["velero.io"]
        assert velero["preferredVersion"] == {"groupVersion": "velero.io/v1", "version": "v1"}
        assert [version["groupVersion"] for version in velero["versions"]] == [
            "velero.io/v1",
            "velero.io/v2alpha1",
        ]
        alone = cluster.send("GET", "/apis/velero.io").json
        assert (alone["kind"], alone["versions"]) == ("APIGroup", velero["versions"])
        assert cluster.send("GET", "/apis/no.such.group").code == 404

    @pytest.mark.parametrize("resource_type", resource.ALL, ids=lambda each: each.plural)
    def test_types(self, cluster: Cluster, resource_type: ResourceType) -> None:
        prefix = "/apis" if resource_type.group else "/api"
        document = cluster.send("GET", f"{prefix}/{resource_type.api_version}").json
        assert document["groupVersion"] == resource_type.api_version
        entries = {entry["name"]: entry for entry in document["resources"]}
        entry = entries[resource_type.plural]
        assert entry["kind"] == resource_type.kind
        assert entry["namespaced"] == resource_type.namespaced
        assert entry["singularName"] == resource_type.kind.lower()
        assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(entry["verbs"])
        assert entry.get("shortNames", []) == _SHORT_NAMES.get(resource_type.plural, [])
        assert (f"{resource_type.plural}/status" in entries) == resource_type.status_subresource

    @pytest.mark.parametrize("resource_type", resource.ALL, ids=lambda each: each.plural)
    def test_every_type_can_be_listed(self, cluster: Cluster, resource_type: ResourceType) -> None:
        assert isinstance(cluster.client.list(resource_type), list)

    def test_definitions_of_custom_resources(self, cluster: Cluster) -> None:
        found = cluster.client.list(_DEFINITION)
        names = {each["metadata"]["name"]: each["spec"] for each in found}
        spec = names["datauploads.velero.io"]
        assert (spec["group"], spec["scope"], spec["names"]["kind"]) == ("velero.io", "Namespaced", "DataUpload")
        assert [version["name"] for version in spec["versions"]] == ["v2alpha1"]
        assert names["volumesnapshotcontents.snapshot.storage.k8s.io"]["scope"] == "Cluster"

    def test_health(self, cluster: Cluster) -> None:
        for path in ("/healthz", "/livez", "/readyz"):
            assert cluster.send("GET", path).text == "ok"


class RefusalContract:
    """Who and what is turned away."""

    @pytest.mark.parametrize("token", ["", "wrong"])
    def test_without_the_token(self, cluster: Cluster, token: str) -> None:
        answer = cluster.send("GET", DATA_UPLOADS, token=token)
        assert answer.code == 401
        assert (answer.json["kind"], answer.json["reason"]) == ("Status", "Unauthorized")
        with (
            KubeClient(dataclasses.replace(cluster.config, token=token)) as client,
            pytest.raises(errors.UnauthorizedError, match="Unauthorized"),
        ):
            client.list(resource.DATA_UPLOAD, cluster.namespace)

    @pytest.mark.parametrize(
        ("method", "path", "code"),
        [
            ("GET", "/nothing", 404),
            ("GET", "/apis/velero.io/v9/datauploads", 404),
            ("GET", "/apis/velero.io/v2alpha1/nothings", 404),
            ("GET", "/api/v1/nothings", 404),
            ("GET", DATA_UPLOADS + "/du/nothing", 404),
            ("GET", DATA_UPLOADS + "/du/status", 404),
            ("GET", CONFIG_MAPS + "/cm/status", 404),
            ("GET", "/api/v1/configmaps/cm", 404),
            ("GET", "/apis/velero.io/v2alpha1/datauploads/du", 404),
            ("GET", "/apis/storage.k8s.io/v1/namespaces/{namespace}/storageclasses", 404),
            ("GET", "/apis/no.such.group/v1/nothings", 404),
            ("POST", "/version", 405),
            ("POST", CONFIG_MAPS + "/cm", 405),
            ("PUT", CONFIG_MAPS, 405),
            ("PATCH", CONFIG_MAPS, 405),
            ("POST", "/api/v1/namespaces/{namespace}/pods/p/status", 405),
        ],
    )
    def test_paths_and_methods(self, cluster: Cluster, method: str, path: str, code: int) -> None:
        body = None if method == "GET" else cluster.data_upload("du")
        answer = cluster.send(method, path, body)
        assert answer.code == code
        built_in = path.startswith(("/api/v1/", "/apis/storage.k8s.io/")) or code != 404 or "/du/" in path
        assert (answer.text == "404 page not found\n") != built_in

    def test_body_of_an_unknown_type(self, cluster: Cluster) -> None:
        body = cluster.data_upload("du")
        answer = cluster.send("POST", DATA_UPLOADS, body, content_type="text/plain")
        assert (answer.code, answer.json["reason"]) == (415, "UnsupportedMediaType")

    def test_body_that_is_too_large(self, cluster: Cluster) -> None:
        body = cluster.config_map("cm")
        body["data"]["key"] = "x" * (4 * 1024 * 1024)
        answer = cluster.send("POST", CONFIG_MAPS, body)
        assert (answer.code, answer.json["reason"]) == (413, "RequestEntityTooLarge")


_SHORT_NAMES = {
    "namespaces": ["ns"],
    "configmaps": ["cm"],
    "pods": ["po"],
    "persistentvolumeclaims": ["pvc"],
    "persistentvolumes": ["pv"],
    "events": ["ev"],
    "storageclasses": ["sc"],
    "volumesnapshots": ["vs"],
    "volumesnapshotcontents": ["vsc", "vscs"],
    "volumesnapshotclasses": ["vsclass", "vsclasses"],
    "backupstoragelocations": ["bsl"],
}
