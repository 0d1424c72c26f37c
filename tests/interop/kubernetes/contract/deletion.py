"""Contract: deletion, finalizers, owners, namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.kubernetes.contract.cluster import CONFIG_MAPS, DATA_UPLOADS, Cluster, eventually
from velero_py_plugin.api import resource
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube import errors


def _exists(cluster: Cluster, resource_type: ResourceType, name: str, namespace: str | None = None) -> bool:
    try:
        cluster.client.get(resource_type, name, namespace or cluster.namespace)
    except errors.NotFoundError:
        return False
    return True


class DeletionContract:
    """How objects go away."""

    def test_delete(self, cluster: Cluster) -> None:
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)
        with pytest.raises(errors.NotFoundError, match=r'datauploads.velero.io "du" not found'):
            cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)

    def test_answer_of_a_finished_deletion(self, cluster: Cluster) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        answer = cluster.send("DELETE", DATA_UPLOADS + "/du")
        assert answer.code == 200
        assert answer.json["kind"] == "Status"
        assert answer.json["status"] == "Success"
        assert answer.json["details"]["uid"] == made["metadata"]["uid"]

    def test_delete_of_another_uid(self, cluster: Cluster) -> None:
        made = cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        with pytest.raises(errors.ConflictError, match="the UID in the precondition"):
            cluster.client.delete(
                resource.DATA_UPLOAD, "du", cluster.namespace, uid="1d1f4c1e-0000-4000-8000-000000000000"
            )
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace, uid=made["metadata"]["uid"])
        assert not _exists(cluster, resource.DATA_UPLOAD, "du")

    def test_delete_of_another_resource_version(self, cluster: Cluster) -> None:
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": "1"}}
        answer = cluster.send("DELETE", DATA_UPLOADS + "/du", options)
        assert (answer.code, answer.json["reason"]) == (409, "Conflict")
        assert "the ResourceVersion in the precondition (1) does not match" in answer.json["message"]

    def test_finalizer_holds_the_object(self, cluster: Cluster) -> None:
        body = cluster.data_upload("du", finalizers=["example.io/a", "example.io/b"])
        made = cluster.client.create(resource.DATA_UPLOAD, body)
        answer = cluster.send("DELETE", DATA_UPLOADS + "/du")
        assert answer.code == 200
        marked = cluster.client.get(resource.DATA_UPLOAD, "du", cluster.namespace)
        assert answer.json["metadata"] == marked["metadata"]
        assert marked["metadata"]["deletionTimestamp"]
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
        assert marked["metadata"]["generation"] == made["metadata"]["generation"] + 1
        # Deleting it again changes nothing.
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)
        assert cluster.client.get(resource.DATA_UPLOAD, "du", cluster.namespace) == marked

        held = self._finalizers(cluster, ["example.io/b"])
        assert held["metadata"]["finalizers"] == ["example.io/b"]
        self._finalizers(cluster, None)
        assert not _exists(cluster, resource.DATA_UPLOAD, "du")

    def test_no_new_finalizers_while_being_deleted(self, cluster: Cluster) -> None:
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du", finalizers=["example.io/a"]))
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)
        with pytest.raises(errors.InvalidObjectError, match="no new finalizers can be added"):
            self._finalizers(cluster, ["example.io/a", "example.io/c"])
        changed = cluster.client.merge_patch(
            resource.DATA_UPLOAD, "du", {"status": {"phase": "Canceled"}}, cluster.namespace
        )
        assert changed["status"]["phase"] == "Canceled"
        self._finalizers(cluster, None)

    def test_replace_without_the_last_finalizer_removes_the_object(self, cluster: Cluster) -> None:
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du", finalizers=["example.io/a"]))
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)
        marked = cluster.client.get(resource.DATA_UPLOAD, "du", cluster.namespace)
        del marked["metadata"]["finalizers"]
        cluster.client.replace(resource.DATA_UPLOAD, marked)
        assert not _exists(cluster, resource.DATA_UPLOAD, "du")

    def test_pod_no_node_runs_goes_at_once(self, cluster: Cluster) -> None:
        cluster.client.create(resource.POD, self._pod(cluster))
        cluster.client.delete(resource.POD, "pod", cluster.namespace)
        assert not _exists(cluster, resource.POD, "pod")

    def test_pod_a_node_runs_is_given_time(self, cluster: Cluster) -> None:
        cluster.client.create(resource.POD, self._pod(cluster, nodeName="node"))
        cluster.client.delete(resource.POD, "pod", cluster.namespace)
        marked = cluster.client.get(resource.POD, "pod", cluster.namespace)
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        cluster.client.delete(resource.POD, "pod", cluster.namespace, grace_seconds=0)  # as the kubelet does
        assert not _exists(cluster, resource.POD, "pod")

    def test_pod_that_ended_goes_at_once(self, cluster: Cluster) -> None:
        cluster.client.create(resource.POD, self._pod(cluster, nodeName="node"))
        cluster.client.merge_patch(
            resource.POD, "pod", {"status": {"phase": "Succeeded"}}, cluster.namespace, status=True
        )
        cluster.client.delete(resource.POD, "pod", cluster.namespace)
        assert not _exists(cluster, resource.POD, "pod")

    def test_create_in_a_namespace_being_deleted(self, cluster: Cluster) -> None:
        name = cluster.client.create(resource.NAMESPACE, {"metadata": {"generateName": "going-"}})["metadata"]["name"]
        held = cluster.config_map("held", namespace=name, finalizers=["example.io/hold"])
        cluster.client.create(resource.CONFIG_MAP, held)
        cluster.client.delete(resource.NAMESPACE, name)
        assert cluster.client.get(resource.NAMESPACE, name)["status"]["phase"] == "Terminating"
        with pytest.raises(errors.ForbiddenError, match="because it is being terminated"):
            cluster.client.create(resource.CONFIG_MAP, cluster.config_map("late", namespace=name))
        cluster.client.merge_patch(resource.CONFIG_MAP, "held", {"metadata": {"finalizers": None}}, name)

    def test_delete_collection_is_not_offered_or_works(self, cluster: Cluster) -> None:
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("cm"))
        answer = cluster.send("DELETE", CONFIG_MAPS, query={"labelSelector": "none=such"})
        assert answer.code == (405 if cluster.embedded else 200)
        assert _exists(cluster, resource.CONFIG_MAP, "cm")

    def _finalizers(self, cluster: Cluster, finalizers: list[str] | None) -> dict[str, Any]:
        patch = {"metadata": {"finalizers": finalizers}}
        return cluster.client.merge_patch(resource.DATA_UPLOAD, "du", patch, cluster.namespace)

    def _pod(self, cluster: Cluster, **spec: Any) -> dict[str, Any]:
        containers = [{"name": "main", "image": "localhost/none"}]
        return {
            "metadata": {"name": "pod", "namespace": cluster.namespace},
            "spec": {"containers": containers, **spec},
        }


class ControllersContract:
    """What the controller manager does: part of the embedded API, not of a kube-apiserver alone."""

    def test_dependents_follow_their_owner(self, cluster: Cluster) -> None:
        owner = cluster.client.create(resource.CONFIG_MAP, cluster.config_map("owner"))
        other = cluster.client.create(resource.CONFIG_MAP, cluster.config_map("other"))
        references = [self._reference(owner), self._reference(other)]
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("one", ownerReferences=references[:1]))
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("two", ownerReferences=references))
        cluster.client.delete(resource.CONFIG_MAP, "owner", cluster.namespace)
        eventually(lambda: not _exists(cluster, resource.DATA_UPLOAD, "one"), "the dependent is gone")
        left = cluster.client.get(resource.DATA_UPLOAD, "two", cluster.namespace)
        assert left["metadata"]["ownerReferences"] == references[1:]

    def test_owner_that_never_was(self, cluster: Cluster) -> None:
        owner = cluster.client.create(resource.CONFIG_MAP, cluster.config_map("owner"))
        reference = {**self._reference(owner), "uid": "1d1f4c1e-0000-4000-8000-000000000000"}
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du", ownerReferences=[reference]))
        eventually(lambda: not _exists(cluster, resource.DATA_UPLOAD, "du"), "the dependent is gone")

    def test_namespace_takes_its_content_with_it(self, cluster: Cluster) -> None:
        name = cluster.client.create(resource.NAMESPACE, {"metadata": {"generateName": "going-"}})["metadata"]["name"]
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("plain", namespace=name))
        held = cluster.config_map("held", namespace=name, finalizers=["example.io/hold"])
        cluster.client.create(resource.CONFIG_MAP, held)
        cluster.client.delete(resource.NAMESPACE, name)
        eventually(lambda: not _exists(cluster, resource.CONFIG_MAP, "plain", name), "the content is gone")
        assert cluster.client.get(resource.NAMESPACE, name)["status"]["phase"] == "Terminating"
        cluster.client.merge_patch(resource.CONFIG_MAP, "held", {"metadata": {"finalizers": None}}, name)
        eventually(lambda: not _exists(cluster, resource.NAMESPACE, name), "the namespace is gone")

    def _reference(self, owner: dict[str, Any]) -> dict[str, Any]:
        meta = owner["metadata"]
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
