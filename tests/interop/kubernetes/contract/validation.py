"""Contract: what the server refuses, drops and fills in."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from tests.interop.kubernetes.contract.cluster import DATA_UPLOADS, Cluster, eventually
from velero_py_plugin.api import resource
from velero_py_plugin.kube import errors


class MetadataContract:
    """Names, labels, annotations, finalizers, owners."""

    @pytest.mark.parametrize("name", ["A", "a_b", "-a", "a.", "a..b", "a" * 254, "ü"])
    def test_bad_names(self, cluster: Cluster, name: str) -> None:
        with pytest.raises(errors.InvalidObjectError, match=r"metadata.name"):
            cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload(name))

    @pytest.mark.parametrize("name", ["a", "a.b-c", "0", "a" * 253])
    def test_good_names(self, cluster: Cluster, name: str) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload(name))
        assert made["metadata"]["name"] == name

    def test_no_name(self, cluster: Cluster) -> None:
        with pytest.raises(errors.InvalidObjectError, match="name or generateName is required"):
            cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload())

    @pytest.mark.parametrize("name", ["a.b", "a" * 64])
    def test_namespace_names_are_labels(self, cluster: Cluster, name: str) -> None:
        with pytest.raises(errors.InvalidObjectError, match=r"metadata.name"):
            cluster.client.create(resource.NAMESPACE, {"metadata": {"name": name}})

    @pytest.mark.parametrize(
        "metadata",
        [
            {"labels": {"a": "x" * 64}},
            {"labels": {"a": "x/y"}},
            {"labels": {"a": "-x"}},
            {"labels": {"/a": "x"}},
            {"labels": {"": "x"}},
            {"labels": {"x" * 64: "x"}},
            {"labels": {"Upper.example/a": "x"}},
            {"annotations": {"a b": "x"}},
            {"annotations": {"a": "x" * 262145}},
            {"finalizers": ["a b"]},
            {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": ""}]},
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name, "controller": True}
                    for name in ("a", "b")
                ]
            },
        ],
    )
    def test_bad_metadata(self, cluster: Cluster, metadata: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du", **metadata))

    @pytest.mark.parametrize(
        "metadata",
        [
            {"labels": {"a": "x" * 63, "example.io/B_c.d": "", "e": "1.x_Y-z"}},
            {"annotations": {"Example.io/a": "anything / at all\n" * 100}},
            {"finalizers": ["example.io/x"]},
        ],
    )
    def test_good_metadata(self, cluster: Cluster, metadata: dict[str, Any]) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du", **metadata))
        assert {key: made["metadata"][key] for key in metadata} == metadata

    @pytest.mark.parametrize("metadata", [{"labels": {"a": 1}}, {"labels": ["a"]}, {"finalizers": "a"}, {"name": 7}])
    def test_metadata_of_the_wrong_type(self, cluster: Cluster, metadata: dict[str, Any]) -> None:
        body = cluster.data_upload("du")
        body["metadata"].update(metadata)
        assert cluster.send("POST", DATA_UPLOADS, body).code == 400

    def test_null_label_is_empty(self, cluster: Cluster) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du", labels={"a": None}))
        assert made["metadata"]["labels"] == {"a": ""}
        assert (
            "labels"
            not in cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("d2", labels=None))["metadata"]
        )

    def test_resource_version_on_create(self, cluster: Cluster) -> None:
        answer = cluster.send("POST", DATA_UPLOADS, cluster.data_upload("du", resourceVersion="5"))
        assert answer.code == 500
        assert "resourceVersion should not be set on objects to be created" in answer.json["message"]


class SchemaContract:
    """Custom resources."""

    @pytest.mark.parametrize(
        ("path", "value", "complaint"),
        [
            (("status", "phase"), "", "status.phase: Unsupported value"),
            (("status", "phase"), "Done", "status.phase: Unsupported value"),
            (("status", "nodeOS"), "plan9", "status.nodeOS: Unsupported value"),
            (("status", "startTimestamp"), "yesterday", "status.startTimestamp: Invalid value"),
            (("status", "progress"), {"bytesDone": "1"}, "status.progress.bytesDone: Invalid value"),
            (("status", "dataMoverResult"), {"a": 1}, "status.dataMoverResult.a: Invalid value"),
            (("spec", "cancel"), "true", "spec.cancel: Invalid value"),
            (("spec", "sourcePVC"), None, "spec.sourcePVC: Required value"),
            (("spec", "csiSnapshot"), {"driver": "d"}, "spec.csiSnapshot.storageClass: Required value"),
            (("spec",), "text", "spec: Invalid value"),
            (("spec",), {}, "spec.backupStorageLocation: Required value"),
        ],
    )
    def test_data_upload_refused(self, cluster: Cluster, path: tuple[str, ...], value: Any, complaint: str) -> None:
        with pytest.raises(errors.InvalidObjectError, match=complaint):
            cluster.client.create(resource.DATA_UPLOAD, _with(cluster.data_upload("du"), path, value))

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("spec", "csiSnapshot"), None),
            (("spec", "dataMoverConfig"), None),
            (("spec", "datamover"), ""),
            (("status", "startTimestamp"), None),
            (("status", "startTimestamp"), "2026-01-01T00:00:00Z"),
            (("status", "incrementalBytes"), -7),
            (("status", "progress"), {}),
        ],
    )
    def test_data_upload_accepted(self, cluster: Cluster, path: tuple[str, ...], value: Any) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, _with(cluster.data_upload("du"), path, value))
        for step in path[:-1]:
            made = made[step]
        assert made[path[-1]] == value

    def test_unknown_fields_are_dropped(self, cluster: Cluster) -> None:
        body = _with(cluster.data_upload("du"), ("status", "invented"), 1)
        made = cluster.client.create(resource.DATA_UPLOAD, {**body, "extra": True, "spec": {**body["spec"], "x": 1}})
        assert made["spec"] == body["spec"]
        assert made["status"] == {}
        assert "extra" not in made

    def test_null_is_dropped_where_it_is_not_allowed(self, cluster: Cluster) -> None:
        nulls = {"message": None, "phase": None, "progress": None, "dataMoverResult": {"a": None, "b": "c"}}
        body = {**cluster.data_upload("du"), "status": {**nulls, "completionTimestamp": None}}
        made = cluster.client.create(resource.DATA_UPLOAD, body)
        assert made["status"] == {"dataMoverResult": {"b": "c"}, "completionTimestamp": None}

    @pytest.mark.parametrize(
        ("path", "value", "complaint"),
        [
            (("spec", "targetVolume"), {"pvc": "a", "pv": ""}, "spec.targetVolume.namespace: Required value"),
            (("spec", "dataMoverConfig"), [], "spec.dataMoverConfig: Invalid value"),
            (("spec", "nodeOS"), "plan9", "spec.nodeOS: Unsupported value"),
            (("spec", "snapshotSize"), "1", "spec.snapshotSize: Invalid value"),
            (("status", "phase"), "", "status.phase: Unsupported value"),
        ],
    )
    def test_data_download_refused(self, cluster: Cluster, path: tuple[str, ...], value: Any, complaint: str) -> None:
        body = {
            "metadata": {"name": "dd", "namespace": cluster.namespace},
            "spec": {
                "targetVolume": {"pvc": "data", "pv": "", "namespace": "app"},
                "backupStorageLocation": "default",
                "operationTimeout": "10m0s",
                "snapshotID": "",
                "sourceNamespace": "app",
            },
        }
        with pytest.raises(errors.InvalidObjectError, match=complaint):
            cluster.client.create(resource.DATA_DOWNLOAD, _with(body, path, value))
        assert cluster.client.create(resource.DATA_DOWNLOAD, body)["spec"] == body["spec"]

    def test_backup_repository(self, cluster: Cluster) -> None:
        spec = {
            "volumeNamespace": "app",
            "backupStorageLocation": "default",
            "repositoryType": "kopia",
            "maintenanceFrequency": "0s",
        }
        body = {"metadata": {"name": "r", "namespace": cluster.namespace}, "spec": spec}
        status = {
            "phase": "Ready",
            "recentMaintenance": [{"result": "Succeeded", "startTimestamp": "2026-01-01T00:00:00Z", "x": 1}],
        }
        made = cluster.client.create(resource.BACKUP_REPOSITORY, {**body, "status": status})
        del status["recentMaintenance"][0]["x"]  # type: ignore[attr-defined] # a list of maps
        assert made["status"] == status
        for path, value in (
            (("spec", "repositoryType"), "borg"),
            (("status", "recentMaintenance"), [{"result": "Maybe"}]),
        ):
            with pytest.raises(errors.InvalidObjectError, match="Unsupported value"):
                cluster.client.create(resource.BACKUP_REPOSITORY, _with({**body, "status": {}}, path, value))

    def test_volume_snapshot_source_is_one_and_stays(self, cluster: Cluster) -> None:
        body: dict[str, Any] = {"metadata": {"name": "vs", "namespace": cluster.namespace}, "spec": {"source": {}}}
        for source in ({}, {"persistentVolumeClaimName": "a", "volumeSnapshotContentName": "b"}):
            with pytest.raises(errors.InvalidObjectError, match="exactly one of"):
                cluster.client.create(resource.VOLUME_SNAPSHOT, {**body, "spec": {"source": source}})
        body["spec"]["source"] = {"persistentVolumeClaimName": "a"}
        cluster.client.create(resource.VOLUME_SNAPSHOT, body)
        with pytest.raises(errors.InvalidObjectError, match="immutable"):
            cluster.client.merge_patch(
                resource.VOLUME_SNAPSHOT,
                "vs",
                {"spec": {"source": {"persistentVolumeClaimName": "b"}}},
                cluster.namespace,
            )

    def test_volume_snapshot_content(self, cluster: Cluster) -> None:
        name = f"content-{cluster.namespace}"
        spec: dict[str, Any] = {
            "deletionPolicy": "Retain",
            "driver": "d",
            "source": {"snapshotHandle": "h"},
            "volumeSnapshotRef": {"name": "vs", "namespace": cluster.namespace},
        }
        body = {"metadata": {"name": name}, "spec": spec}
        assert cluster.client.create(resource.VOLUME_SNAPSHOT_CONTENT, body)["spec"] == spec
        for path, value in (
            (("spec", "deletionPolicy"), "Keep"),
            (("spec", "source"), {"volumeHandle": "v", "snapshotHandle": "h"}),
            (("spec", "volumeSnapshotRef"), {"name": "vs"}),
        ):
            other = _with({**body, "metadata": {"name": f"{name}-2"}}, path, value)
            with pytest.raises(errors.InvalidObjectError):
                cluster.client.create(resource.VOLUME_SNAPSHOT_CONTENT, other)
        changed = cluster.client.merge_patch(
            resource.VOLUME_SNAPSHOT_CONTENT, name, {"spec": {"deletionPolicy": "Delete"}}
        )
        assert changed["spec"]["deletionPolicy"] == "Delete"


class BuiltInContract:
    """Defaults and rules of built-in types that movers meet."""

    def _claim(self, cluster: Cluster, **spec: Any) -> dict[str, Any]:
        base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        return {"metadata": {"name": "claim", "namespace": cluster.namespace}, "spec": {**base, **spec}}

    def test_claim(self, cluster: Cluster) -> None:
        made = cluster.client.create(resource.PVC, self._claim(cluster, storageClassName="fast"))
        assert made["spec"]["volumeMode"] == "Filesystem"
        assert made["status"]["phase"] == "Pending"

    def test_claim_from_a_snapshot(self, cluster: Cluster) -> None:
        source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
        made = cluster.client.create(resource.PVC, self._claim(cluster, dataSource=source))
        assert made["spec"]["dataSourceRef"] == source

    @pytest.mark.parametrize("missing", ["accessModes", "resources"])
    def test_claim_without_the_essentials(self, cluster: Cluster, missing: str) -> None:
        body = self._claim(cluster)
        del body["spec"][missing]
        with pytest.raises(errors.InvalidObjectError, match=rf"spec\.{missing}"):
            cluster.client.create(resource.PVC, body)

    def test_claim_can_be_bound_once(self, cluster: Cluster) -> None:
        cluster.client.create(resource.PVC, self._claim(cluster, storageClassName="fast"))
        bound = cluster.client.merge_patch(resource.PVC, "claim", {"spec": {"volumeName": "pv-1"}}, cluster.namespace)
        assert bound["spec"]["volumeName"] == "pv-1"
        for spec in ({"volumeName": "pv-2"}, {"storageClassName": "other"}, {"accessModes": ["ReadOnlyMany"]}):
            with pytest.raises(errors.InvalidObjectError, match="immutable"):
                cluster.client.merge_patch(resource.PVC, "claim", {"spec": spec}, cluster.namespace)

    def test_claim_gets_the_default_storage_class(self, cluster: Cluster) -> None:
        name = f"default-{cluster.namespace}"
        annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
        storage_class = {"metadata": {"name": name, "annotations": annotations}, "provisioner": "d"}
        cluster.client.create(resource.STORAGE_CLASS, storage_class)
        try:
            # The admission plug-in of a real server learns of the class a moment later.
            eventually(lambda: self._class_of_new_claim(cluster) == name, "claims get the default class")
            explicit = cluster.client.create(resource.PVC, self._claim(cluster, storageClassName=""))
            assert explicit["spec"]["storageClassName"] == ""
        finally:
            cluster.client.delete(resource.STORAGE_CLASS, name)
        eventually(lambda: self._class_of_new_claim(cluster) is None, "claims get no class any more")

    def _class_of_new_claim(self, cluster: Cluster) -> str | None:
        body = self._claim(cluster)
        body["metadata"]["name"] = "probe"
        made = cluster.client.create(resource.PVC, body)
        cluster.client.delete(resource.PVC, "probe", cluster.namespace)
        name: str | None = made["spec"].get("storageClassName")
        return name

    def test_claim_without_a_storage_class_can_be_given_one(self, cluster: Cluster) -> None:
        cluster.client.create(resource.PVC, self._claim(cluster))
        patch = {"spec": {"storageClassName": "fast"}}
        changed = cluster.client.merge_patch(resource.PVC, "claim", patch, cluster.namespace)
        assert changed["spec"]["storageClassName"] == "fast"

    def test_volume(self, cluster: Cluster) -> None:
        name = f"pv-{cluster.namespace}"
        spec: dict[str, Any] = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "d", "volumeHandle": "h"},
        }
        made = cluster.client.create(resource.PV, {"metadata": {"name": name}, "spec": spec})
        assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert made["spec"]["volumeMode"] == "Filesystem"
        assert made["status"]["phase"] == "Pending"
        claim_ref = {"namespace": "a", "name": "b"}
        changed = cluster.client.merge_patch(resource.PV, name, {"spec": {"claimRef": claim_ref}})
        assert changed["spec"]["claimRef"]["name"] == "b"
        assert "claimRef" not in cluster.client.merge_patch(resource.PV, name, {"spec": {"claimRef": None}})["spec"]
        with pytest.raises(errors.InvalidObjectError, match="immutable after creation"):
            cluster.client.merge_patch(resource.PV, name, {"spec": {"csi": {"volumeHandle": "other"}}})
        cluster.client.delete(resource.PV, name)

    @pytest.mark.parametrize("missing", ["accessModes", "capacity", "csi"])
    def test_volume_without_the_essentials(self, cluster: Cluster, missing: str) -> None:
        spec: dict[str, Any] = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "d", "volumeHandle": "h"},
        }
        del spec[missing]
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.create(resource.PV, {"metadata": {"name": f"pv-{cluster.namespace}"}, "spec": spec})

    def test_pod(self, cluster: Cluster) -> None:
        body = {
            "metadata": {"name": "pod", "namespace": cluster.namespace},
            "spec": {"containers": [{"name": "main", "image": "localhost/none"}]},
        }
        made = cluster.client.create(resource.POD, body)
        assert made["status"]["phase"] == "Pending"
        assert made["spec"]["restartPolicy"] == "Always"
        assert made["spec"]["terminationGracePeriodSeconds"] == 30
        with pytest.raises(errors.InvalidObjectError, match="pod updates may not change fields"):
            cluster.client.merge_patch(resource.POD, "pod", {"spec": {"restartPolicy": "Never"}}, cluster.namespace)

    @pytest.mark.parametrize(
        "spec",
        [
            {},
            {"containers": []},
            {"containers": [{"name": "main"}]},
            {"containers": [{"image": "i"}]},
            {"containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "none", "mountPath": "/x"}]}]},
        ],
    )
    def test_bad_pods(self, cluster: Cluster, spec: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidObjectError, match=r"spec\.containers"):
            cluster.client.create(
                resource.POD, {"metadata": {"name": "pod", "namespace": cluster.namespace}, "spec": spec}
            )

    def test_secret(self, cluster: Cluster) -> None:
        body = {
            "metadata": {"name": "s", "namespace": cluster.namespace},
            "stringData": {"plain": "text"},
            "data": {"coded": base64.b64encode(b"bytes").decode()},
        }
        made = cluster.client.create(resource.SECRET, body)
        assert made["type"] == "Opaque"
        assert made["data"] == {"plain": "dGV4dA==", "coded": "Ynl0ZXM="}
        assert "stringData" not in made

    @pytest.mark.parametrize("data", [{"a": "not base64"}, {"a": 1}])
    def test_bad_secrets(self, cluster: Cluster, data: dict[str, Any]) -> None:
        body = {"metadata": {"name": "s", "namespace": cluster.namespace}, "data": data}
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.create(resource.SECRET, body)

    def test_config_map_values_are_strings(self, cluster: Cluster) -> None:
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.create(resource.CONFIG_MAP, {**cluster.config_map("cm"), "data": {"a": 1}})

    def test_immutable_config_map(self, cluster: Cluster) -> None:
        cluster.client.create(resource.CONFIG_MAP, {**cluster.config_map("cm"), "immutable": True})
        for patch in ({"data": {"key": "other"}}, {"immutable": None}):
            with pytest.raises(errors.InvalidObjectError, match="immutable"):
                cluster.client.merge_patch(resource.CONFIG_MAP, "cm", patch, cluster.namespace)

    def test_storage_class(self, cluster: Cluster) -> None:
        name = f"class-{cluster.namespace}"
        made = cluster.client.create(resource.STORAGE_CLASS, {"metadata": {"name": name}, "provisioner": "d"})
        assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "Immediate")
        with pytest.raises(errors.InvalidObjectError, match="provisioner"):
            cluster.client.merge_patch(resource.STORAGE_CLASS, name, {"provisioner": "other"})
        cluster.client.delete(resource.STORAGE_CLASS, name)

    def test_event(self, cluster: Cluster) -> None:
        body = {
            "metadata": {"generateName": "e-", "namespace": cluster.namespace},
            "involvedObject": {"kind": "DataUpload", "name": "du", "namespace": cluster.namespace},
            "reason": "Exposed",
            "type": "Normal",
        }
        made = cluster.client.create(resource.EVENT, body)
        found = cluster.client.list(
            resource.EVENT, cluster.namespace, field_selector="involvedObject.name=du,reason=Exposed"
        )
        assert [each["metadata"]["name"] for each in found] == [made["metadata"]["name"]]
        body["involvedObject"] = {"kind": "DataUpload", "name": "du", "namespace": "default"}
        with pytest.raises(errors.InvalidObjectError, match=r"does not match event\.namespace"):
            cluster.client.create(resource.EVENT, body)

    def test_namespace(self, cluster: Cluster) -> None:
        made = cluster.client.get(resource.NAMESPACE, cluster.namespace)
        assert made["status"] == {"phase": "Active"}
        assert made["spec"] == {"finalizers": ["kubernetes"]}
        assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": cluster.namespace}


def _with(body: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of the body with one field set."""
    changed = copy.deepcopy(body)
    holder = changed
    for step in path[:-1]:
        holder = holder.setdefault(step, {})
    holder[path[-1]] = value
    return changed
