"""Contract: creating, reading and changing objects."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.interop.kubernetes.contract.cluster import CONFIG_MAPS, DATA_UPLOADS, Cluster
from velero_py_plugin.api import resource
from velero_py_plugin.kube import errors


def _created(cluster: Cluster, name: str = "du", **metadata: Any) -> dict[str, Any]:
    return cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload(name, **metadata))


class ObjectsContract:
    """Writes of single objects."""

    def test_create_sets_what_the_server_owns(self, cluster: Cluster) -> None:
        foreign: dict[str, Any] = {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}
        made = _created(cluster, labels={"a": "b"}, **foreign)
        meta = made["metadata"]
        assert (meta["name"], meta["namespace"], meta["labels"]) == ("du", cluster.namespace, {"a": "b"})
        assert len(meta["uid"]) == 36
        assert int(meta["resourceVersion"]) > 0
        assert meta["generation"] == 1
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(meta["creationTimestamp"])
        assert abs(age.total_seconds()) < 60
        assert (made["apiVersion"], made["kind"]) == ("velero.io/v2alpha1", "DataUpload")

    def test_read_returns_what_was_created(self, cluster: Cluster) -> None:
        made = _created(cluster)
        assert cluster.client.get(resource.DATA_UPLOAD, "du", cluster.namespace) == made

    def test_status_of_velero_types_is_part_of_the_object(self, cluster: Cluster) -> None:
        made = cluster.client.create(
            resource.DATA_UPLOAD, {**cluster.data_upload("du"), "status": {"progress": {}, "phase": "New"}}
        )
        assert made["status"] == {"progress": {}, "phase": "New"}
        changed = cluster.client.merge_patch(
            resource.DATA_UPLOAD, "du", {"status": {"phase": "Accepted", "message": None}}, cluster.namespace
        )
        assert changed["status"] == {"progress": {}, "phase": "Accepted"}
        assert changed["metadata"]["generation"] == 2

    def test_velero_types_have_no_status_subresource(self, cluster: Cluster) -> None:
        _created(cluster)
        with pytest.raises(errors.NotFoundError, match=r'^datauploads.velero.io "du" not found$'):
            cluster.client.merge_patch(
                resource.DATA_UPLOAD, "du", {"status": {"phase": "New"}}, cluster.namespace, status=True
            )

    def test_generate_name_gives_different_names(self, cluster: Cluster) -> None:
        body = cluster.data_upload(generateName="nightly-")
        names = [cluster.client.create(resource.DATA_UPLOAD, body)["metadata"]["name"] for _ in range(2)]
        assert names[0] != names[1]
        assert all(name.startswith("nightly-") and len(name) == len("nightly-") + 5 for name in names)

    def test_generate_name_of_a_long_base_is_cut(self, cluster: Cluster) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload(generateName="x" * 100))
        name = made["metadata"]["name"]
        assert name.startswith("x" * 58)
        assert len(name) == 63

    def test_create_twice(self, cluster: Cluster) -> None:
        _created(cluster)
        with pytest.raises(errors.AlreadyExistsError, match=r'^datauploads.velero.io "du" already exists$'):
            _created(cluster)

    def test_create_in_a_missing_namespace(self, cluster: Cluster) -> None:
        body = cluster.data_upload("du", namespace="no-such-namespace")
        with pytest.raises(errors.NotFoundError, match=r'^namespaces "no-such-namespace" not found$'):
            cluster.client.create(resource.DATA_UPLOAD, body)

    def test_create_with_another_namespace_than_the_url(self, cluster: Cluster) -> None:
        answer = cluster.send("POST", DATA_UPLOADS, cluster.data_upload("du", namespace="other"))
        assert (answer.code, answer.json["reason"]) == (400, "BadRequest")

    def test_create_of_a_namespaced_type_without_namespace(self, cluster: Cluster) -> None:
        assert cluster.send("POST", "/api/v1/configmaps", cluster.config_map("cm")).code == 405
        assert cluster.send("POST", "/apis/velero.io/v2alpha1/datauploads", cluster.data_upload("du")).code == 404

    @pytest.mark.parametrize(("field", "code"), [("apiVersion", 400), ("kind", 422)])
    def test_custom_resources_must_say_what_they_are(self, cluster: Cluster, field: str, code: int) -> None:
        body = cluster.data_upload("du")
        assert cluster.send("POST", DATA_UPLOADS, {**body, field: "Another"}).code == code
        del body[field]
        assert cluster.send("POST", DATA_UPLOADS, body).code == 400

    def test_built_in_types_are_what_the_url_says(self, cluster: Cluster) -> None:
        answer = cluster.send("POST", CONFIG_MAPS, {"metadata": {"name": "cm"}})
        assert answer.code == 201
        assert (answer.json["apiVersion"], answer.json["kind"]) == ("v1", "ConfigMap")

    def test_body_that_is_not_json(self, cluster: Cluster) -> None:
        answer = cluster.send("POST", DATA_UPLOADS, b"{nonsense")
        assert (answer.code, answer.json["reason"]) == (400, "BadRequest")

    def test_get_of_a_missing_object(self, cluster: Cluster) -> None:
        with pytest.raises(errors.NotFoundError, match=r'^datauploads.velero.io "nothing" not found$'):
            cluster.client.get(resource.DATA_UPLOAD, "nothing", cluster.namespace)

    def test_failures_are_status_objects(self, cluster: Cluster) -> None:
        answer = cluster.send("GET", DATA_UPLOADS + "/nothing")
        assert answer.code == 404
        assert answer.json == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'datauploads.velero.io "nothing" not found',
            "reason": "NotFound",
            "details": {"name": "nothing", "group": "velero.io", "kind": "datauploads"},
            "code": 404,
        }

    def test_type_that_is_not_served(self, cluster: Cluster) -> None:
        unknown = resource.ResourceType("velero.io", "v2alpha1", "datamovers", "DataMover")
        with pytest.raises(errors.TypeNotServedError, match="CustomResourceDefinition"):
            cluster.client.list(unknown, cluster.namespace)
        unknown = resource.ResourceType("", "v1", "datamovers", "DataMover")
        with pytest.raises(errors.TypeNotServedError):
            cluster.client.get(unknown, "name", cluster.namespace)

    def test_replace(self, cluster: Cluster) -> None:
        made = _created(cluster)
        changed = cluster.client.replace(resource.DATA_UPLOAD, {**made, "status": {"phase": "Prepared"}})
        assert changed["status"] == {"phase": "Prepared"}
        assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        assert changed["metadata"]["uid"] == made["metadata"]["uid"]

    def test_replace_of_an_outdated_object(self, cluster: Cluster) -> None:
        made = _created(cluster)
        cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"spec": {"cancel": True}}, cluster.namespace)
        with pytest.raises(errors.ConflictError, match="the object has been modified"):
            cluster.client.replace(resource.DATA_UPLOAD, made)
        assert cluster.client.get(resource.DATA_UPLOAD, "du", cluster.namespace)["spec"]["cancel"] is True

    def test_replace_of_a_custom_resource_needs_a_resource_version(self, cluster: Cluster) -> None:
        _created(cluster)
        with pytest.raises(errors.InvalidObjectError, match="must be specified for an update"):
            cluster.client.replace(resource.DATA_UPLOAD, cluster.data_upload("du"))

    def test_replace_of_a_config_map_needs_none(self, cluster: Cluster) -> None:
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("cm"))
        changed = cluster.client.replace(resource.CONFIG_MAP, {**cluster.config_map("cm"), "data": {"k": "2"}})
        assert changed["data"] == {"k": "2"}

    def test_replace_of_a_missing_object(self, cluster: Cluster) -> None:
        with pytest.raises(errors.NotFoundError):
            cluster.client.replace(resource.DATA_UPLOAD, cluster.data_upload("du", resourceVersion="1"))

    def test_replace_of_a_missing_lease_creates_it(self, cluster: Cluster) -> None:
        lease = {"metadata": {"name": "leader", "namespace": cluster.namespace}, "spec": {"holderIdentity": "me"}}
        made = cluster.client.replace(resource.LEASE, lease)
        assert made["spec"]["holderIdentity"] == "me"
        with pytest.raises(errors.InvalidObjectError, match="must be specified for an update"):
            cluster.client.replace(resource.LEASE, lease)

    def test_replace_of_an_object_with_another_uid(self, cluster: Cluster) -> None:
        made = _created(cluster)
        made["metadata"]["uid"] = "1d1f4c1e-0000-4000-8000-000000000000"
        with pytest.raises(errors.ConflictError, match="UID in precondition"):
            cluster.client.replace(resource.DATA_UPLOAD, made)

    def test_replace_under_another_name(self, cluster: Cluster) -> None:
        made = _created(cluster)
        made["metadata"]["name"] = "other"
        assert cluster.send("PUT", DATA_UPLOADS + "/du", made).code == 400

    def test_update_that_changes_nothing_keeps_the_resource_version(self, cluster: Cluster) -> None:
        made = _created(cluster)
        same = cluster.client.merge_patch(
            resource.DATA_UPLOAD, "du", {"spec": {"sourcePVC": "data"}}, cluster.namespace
        )
        assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    def test_generation_counts_changes_outside_metadata(self, cluster: Cluster) -> None:
        _created(cluster)
        patch = {"metadata": {"annotations": {"a": "b"}}}
        labelled = cluster.client.merge_patch(resource.DATA_UPLOAD, "du", patch, cluster.namespace)
        assert labelled["metadata"]["generation"] == 1
        changed = cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"spec": {"cancel": True}}, cluster.namespace)
        assert changed["metadata"]["generation"] == 2

    def test_merge_patch_with_resource_version_is_conditional(self, cluster: Cluster) -> None:
        made = _created(cluster)
        patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"n": "1"}}}
        cluster.client.merge_patch(resource.DATA_UPLOAD, "du", patch, cluster.namespace)
        with pytest.raises(errors.ConflictError, match="the object has been modified"):
            cluster.client.merge_patch(resource.DATA_UPLOAD, "du", patch, cluster.namespace)

    def test_merge_patch_removes_with_null_and_replaces_lists(self, cluster: Cluster) -> None:
        _created(cluster, labels={"a": "1", "b": "2"}, finalizers=["example.io/one", "example.io/two"])
        patch = {"metadata": {"labels": {"a": None}, "finalizers": ["example.io/three"]}}
        changed = cluster.client.merge_patch(resource.DATA_UPLOAD, "du", patch, cluster.namespace)
        assert changed["metadata"]["labels"] == {"b": "2"}
        assert changed["metadata"]["finalizers"] == ["example.io/three"]
        cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"metadata": {"finalizers": None}}, cluster.namespace)

    @pytest.mark.parametrize("field", ["uid", "creationTimestamp", "deletionTimestamp"])
    def test_server_fields_cannot_be_changed(self, cluster: Cluster, field: str) -> None:
        _created(cluster)
        value = "1d1f4c1e-0000-4000-8000-000000000000" if field == "uid" else "2001-01-01T00:00:00Z"
        answer = cluster.send(
            "PATCH",
            DATA_UPLOADS + "/du",
            {"metadata": {field: value}},
            content_type="application/merge-patch+json",
        )
        if answer.code == 200:  # some are refused, others ignored, and that has changed between versions
            assert answer.json["metadata"].get(field) != value
        else:
            assert (answer.code, answer.json["reason"]) == (422, "Invalid")

    def test_json_patch(self, cluster: Cluster) -> None:
        made = _created(cluster)
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": ["example.io/hold"]},
            {"op": "add", "path": "/metadata/finalizers/-", "value": "example.io/more"},
            {"op": "remove", "path": "/metadata/finalizers/0"},
        ]
        patch_type = "application/json-patch+json"
        answer = cluster.send("PATCH", DATA_UPLOADS + "/du", operations, content_type=patch_type)
        assert answer.code == 200, answer.text
        assert answer.json["metadata"]["finalizers"] == ["example.io/more"]
        again = cluster.send("PATCH", DATA_UPLOADS + "/du", operations, content_type=patch_type)
        assert (again.code, again.json["reason"]) == (422, "Invalid")

    @pytest.mark.parametrize(
        ("operations", "code"),
        [
            ([{"op": "remove", "path": "/spec/nothing"}], 422),
            ([{"op": "replace", "path": "/metadata/labels/a", "value": "b"}], 422),
            ([{"op": "dance", "path": "/spec"}], 422),
            ({"op": "remove", "path": "/spec"}, 400),
        ],
    )
    def test_json_patch_that_does_not_fit(self, cluster: Cluster, operations: Any, code: int) -> None:
        _created(cluster)
        answer = cluster.send("PATCH", DATA_UPLOADS + "/du", operations, content_type="application/json-patch+json")
        assert answer.code == code, answer.text

    @pytest.mark.parametrize(
        "content_type", ["application/strategic-merge-patch+json", "application/json", "text/plain"]
    )
    def test_patch_of_an_unsupported_type(self, cluster: Cluster, content_type: str) -> None:
        _created(cluster)
        answer = cluster.send("PATCH", DATA_UPLOADS + "/du", {"spec": {}}, content_type=content_type)
        assert (answer.code, answer.json["reason"]) == (415, "UnsupportedMediaType")

    def test_patch_of_a_missing_object(self, cluster: Cluster) -> None:
        with pytest.raises(errors.NotFoundError, match=r'datauploads.velero.io "nothing" not found'):
            cluster.client.merge_patch(resource.DATA_UPLOAD, "nothing", {"spec": {}}, cluster.namespace)

    def test_patch_that_renames(self, cluster: Cluster) -> None:
        _created(cluster)
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"metadata": {"name": "other"}}, cluster.namespace)


class StatusSubresourceContract:
    """Types whose status is written apart from the rest."""

    def _bound_claim(self, cluster: Cluster) -> dict[str, Any]:
        body = {
            "metadata": {"name": "claim", "namespace": cluster.namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"},
        }
        return cluster.client.create(resource.PVC, body)

    def _snapshot(self, cluster: Cluster) -> dict[str, Any]:
        body = {
            "metadata": {"name": "snap", "namespace": cluster.namespace},
            "spec": {"source": {"persistentVolumeClaimName": "data"}},
            "status": {"readyToUse": True},
        }
        return cluster.client.create(resource.VOLUME_SNAPSHOT, body)

    def test_create_ignores_status(self, cluster: Cluster) -> None:
        assert self._bound_claim(cluster)["status"] == {"phase": "Pending"}
        assert "status" not in self._snapshot(cluster)

    def test_main_update_ignores_status(self, cluster: Cluster) -> None:
        self._snapshot(cluster)
        patch = {"status": {"readyToUse": True}, "metadata": {"labels": {"a": "b"}}}
        changed = cluster.client.merge_patch(resource.VOLUME_SNAPSHOT, "snap", patch, cluster.namespace)
        assert changed["metadata"]["labels"] == {"a": "b"}
        assert "status" not in changed

    def test_status_update_ignores_the_rest(self, cluster: Cluster) -> None:
        made = self._snapshot(cluster)
        patch = {"status": {"readyToUse": True}, "spec": {"volumeSnapshotClassName": "other"}}
        changed = cluster.client.merge_patch(resource.VOLUME_SNAPSHOT, "snap", patch, cluster.namespace, status=True)
        assert changed["status"] == {"readyToUse": True}
        assert changed["spec"] == made["spec"]
        assert changed["metadata"]["generation"] == made["metadata"]["generation"] == 1

    def test_status_by_put(self, cluster: Cluster) -> None:
        made = self._bound_claim(cluster)
        changed = cluster.client.replace(resource.PVC, {**made, "status": {"phase": "Bound"}}, status=True)
        assert changed["status"]["phase"] == "Bound"
        with pytest.raises(errors.ConflictError):
            cluster.client.replace(resource.PVC, {**made, "status": {"phase": "Lost"}}, status=True)

    def test_reading_the_status_gives_the_object(self, cluster: Cluster) -> None:
        made = self._snapshot(cluster)
        path = "/apis/snapshot.storage.k8s.io/v1/namespaces/{namespace}/volumesnapshots/snap/status"
        assert cluster.send("GET", path).json == made
