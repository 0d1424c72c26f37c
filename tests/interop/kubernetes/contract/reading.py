"""Contract: lists, selectors, paging, watches."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.interop.kubernetes.contract.cluster import CONFIG_MAPS, DATA_UPLOADS, Cluster, take
from velero_py_plugin.api import resource
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.client import KubeClient


def _names(found: list[dict[str, Any]]) -> list[str]:
    return [each["metadata"]["name"] for each in found]


class ListsContract:
    """Reading many objects."""

    def _fill(self, cluster: Cluster) -> None:
        for name, labels in (("b", {"app": "x", "tier": "1"}), ("a", {"app": "y"}), ("c", {})):
            cluster.client.create(resource.CONFIG_MAP, cluster.config_map(name, labels=labels))

    def test_list_is_sorted_and_typed(self, cluster: Cluster) -> None:
        self._fill(cluster)
        found = cluster.client.list(resource.CONFIG_MAP, cluster.namespace)
        assert _names(found) == ["a", "b", "c"]
        assert {(each["apiVersion"], each["kind"]) for each in found} == {("v1", "ConfigMap")}

    def test_list_of_all_namespaces(self, cluster: Cluster) -> None:
        self._fill(cluster)
        found = cluster.client.list(resource.CONFIG_MAP)
        own = [each for each in found if each["metadata"]["namespace"] == cluster.namespace]
        assert _names(own) == ["a", "b", "c"]

    def test_list_of_nothing(self, cluster: Cluster) -> None:
        assert cluster.client.list(resource.DATA_DOWNLOAD, cluster.namespace) == []
        assert cluster.client.list(resource.DATA_DOWNLOAD, "no-such-namespace") == []

    @pytest.mark.parametrize(
        ("selector", "names"),
        [
            ("app=x", ["b"]),
            ("app==x", ["b"]),
            ("app!=x", ["a", "c"]),
            ("app in (x, y)", ["a", "b"]),
            ("app notin (x)", ["a", "c"]),
            ("app", ["a", "b"]),
            ("!app", ["c"]),
            ("app,!tier", ["a"]),
            ("app in (x,y),tier=1", ["b"]),
            ("app=", []),
        ],
    )
    def test_label_selectors(self, cluster: Cluster, selector: str, names: list[str]) -> None:
        self._fill(cluster)
        assert _names(cluster.client.list(resource.CONFIG_MAP, cluster.namespace, label_selector=selector)) == names

    @pytest.mark.parametrize("selector", ["app in x", "a b", "app=(", "-=x", f"app={'x' * 64}"])
    def test_label_selectors_that_are_none(self, cluster: Cluster, selector: str) -> None:
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.list(resource.CONFIG_MAP, cluster.namespace, label_selector=selector)

    def test_field_selectors(self, cluster: Cluster) -> None:
        self._fill(cluster)
        listed = cluster.client.list(resource.CONFIG_MAP, cluster.namespace, field_selector="metadata.name=b")
        assert _names(listed) == ["b"]
        listed = cluster.client.list(resource.CONFIG_MAP, cluster.namespace, field_selector="metadata.name!=b")
        assert _names(listed) == ["a", "c"]
        cluster.client.create(
            resource.SECRET, {"metadata": {"name": "s", "namespace": cluster.namespace}, "type": "example.io/kind"}
        )
        listed = cluster.client.list(resource.SECRET, cluster.namespace, field_selector="type=example.io/kind")
        assert _names(listed) == ["s"]
        assert cluster.client.list(resource.SECRET, cluster.namespace, field_selector="type=Opaque") == []

    @pytest.mark.parametrize("selector", ["status.phase=New", "nonsense"])
    def test_field_selectors_that_are_not_supported(self, cluster: Cluster, selector: str) -> None:
        with pytest.raises(errors.InvalidObjectError):
            cluster.client.list(resource.DATA_UPLOAD, cluster.namespace, field_selector=selector)

    def test_pages_show_one_moment(self, cluster: Cluster) -> None:
        self._fill(cluster)
        first = cluster.send("GET", CONFIG_MAPS, query={"limit": "2"}).json
        assert _names(first["items"]) == ["a", "b"]
        assert first["metadata"]["remainingItemCount"] == 1
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("bb"))
        cluster.client.delete(resource.CONFIG_MAP, "c", cluster.namespace)
        rest = cluster.send("GET", CONFIG_MAPS, query={"limit": "2", "continue": first["metadata"]["continue"]}).json
        assert _names(rest["items"]) == ["c"]
        assert rest["metadata"].get("continue", "") == ""
        assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    def test_client_reads_all_pages(self, cluster: Cluster) -> None:
        for number in range(501):
            cluster.client.create(resource.CONFIG_MAP, cluster.config_map(f"cm-{number:03}"))
        found = cluster.client.list(resource.CONFIG_MAP, cluster.namespace)
        assert _names(found) == [f"cm-{number:03}" for number in range(501)]

    def test_items_of_built_in_types_do_not_repeat_the_type(self, cluster: Cluster) -> None:
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("cm"))
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        built_in = cluster.send("GET", CONFIG_MAPS).json
        custom = cluster.send("GET", DATA_UPLOADS).json
        assert (built_in["kind"], custom["kind"]) == ("ConfigMapList", "DataUploadList")
        assert "kind" not in built_in["items"][0]
        assert custom["items"][0]["kind"] == "DataUpload"

    def test_continuation_that_is_none(self, cluster: Cluster) -> None:
        answer = cluster.send("GET", CONFIG_MAPS, query={"limit": "1", "continue": "nonsense"})
        assert answer.code == 400


class WatchesContract:
    """Following changes."""

    def test_changes_after_a_version(self, cluster: Cluster) -> None:
        start = cluster.send("GET", DATA_UPLOADS).json["metadata"]["resourceVersion"]
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"status": {"phase": "New"}}, cluster.namespace)
        before = cluster.client.get(resource.DATA_UPLOAD, "du", cluster.namespace)
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)
        events = take(cluster.client.watch(resource.DATA_UPLOAD, cluster.namespace, resource_version=start), 3)
        assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        versions = [int(event.resource_version) for event in events]
        assert versions == sorted(set(versions))
        assert events[2].object["status"] == {"phase": "New"}
        assert versions[2] > int(before["metadata"]["resourceVersion"])

    def test_continues_after_an_event(self, cluster: Cluster) -> None:
        made = [
            cluster.client.create(resource.CONFIG_MAP, cluster.config_map(name))["metadata"]["resourceVersion"]
            for name in ("a", "b")
        ]
        events = take(cluster.client.watch(resource.CONFIG_MAP, cluster.namespace, resource_version=made[0]), 1)
        assert [(event.type, event.object["metadata"]["name"]) for event in events] == [("ADDED", "b")]

    @pytest.mark.parametrize("version", ["", "0"])
    def test_without_a_version_existing_objects_come_first(self, cluster: Cluster, version: str) -> None:
        cluster.client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
        events = cluster.client.watch(
            resource.DATA_UPLOAD, cluster.namespace, resource_version=version, timeout_seconds=30
        )
        assert next(events).object["metadata"]["name"] == "du"
        cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"status": {"phase": "New"}}, cluster.namespace)
        changed = next(events)
        assert (changed.type, changed.object["status"]) == ("MODIFIED", {"phase": "New"})
        events.close()

    def test_sees_changes_as_they_happen(self, cluster: Cluster) -> None:
        seen = threading.Event()

        def change() -> None:
            with KubeClient(cluster.config) as client:
                client.create(resource.DATA_UPLOAD, cluster.data_upload("late"))
                assert seen.wait(10)

        start = cluster.send("GET", DATA_UPLOADS).json["metadata"]["resourceVersion"]
        thread = threading.Thread(target=change)
        thread.start()
        (event,) = take(cluster.client.watch(resource.DATA_UPLOAD, cluster.namespace, resource_version=start), 1)
        seen.set()
        thread.join()
        assert event.object["metadata"]["name"] == "late"

    def test_objects_enter_and_leave_a_selection(self, cluster: Cluster) -> None:
        start = cluster.send("GET", CONFIG_MAPS).json["metadata"]["resourceVersion"]
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("cm", labels={"in": "no"}))
        for value in ("yes", "yes-again", "no", "yes"):
            patch = {"metadata": {"labels": {"in": value.removesuffix("-again"), "step": value}}}
            cluster.client.merge_patch(resource.CONFIG_MAP, "cm", patch, cluster.namespace)
        cluster.client.delete(resource.CONFIG_MAP, "cm", cluster.namespace)
        watch = cluster.client.watch(
            resource.CONFIG_MAP, cluster.namespace, resource_version=start, label_selector="in=yes"
        )
        events = take(watch, 5)
        assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
        assert events[2].object["metadata"]["labels"]["step"] == "yes-again"

    def test_deletion_with_a_finalizer(self, cluster: Cluster) -> None:
        body = cluster.data_upload("du", finalizers=["example.io/a"])
        start = cluster.client.create(resource.DATA_UPLOAD, body)["metadata"]["resourceVersion"]
        cluster.client.delete(resource.DATA_UPLOAD, "du", cluster.namespace)
        cluster.client.merge_patch(resource.DATA_UPLOAD, "du", {"metadata": {"finalizers": None}}, cluster.namespace)
        events = take(cluster.client.watch(resource.DATA_UPLOAD, cluster.namespace, resource_version=start), 2)
        assert [event.type for event in events] == ["MODIFIED", "DELETED"]
        assert events[1].object["metadata"]["finalizers"] == ["example.io/a"]  # the last state that was stored

    def test_bookmarks_only_when_asked(self, cluster: Cluster) -> None:
        start = cluster.send("GET", DATA_UPLOADS).json["metadata"]["resourceVersion"]
        query = {"resourceVersion": start, "labelSelector": "none=such"}
        done = threading.Event()

        def change() -> None:
            with KubeClient(cluster.config) as client:
                client.create(resource.DATA_UPLOAD, cluster.data_upload("du"))
                number = 0
                while not done.wait(0.1):
                    number += 1
                    patch = {"metadata": {"annotations": {"number": str(number)}}}
                    client.merge_patch(resource.DATA_UPLOAD, "du", patch, cluster.namespace)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            assert cluster.lines(DATA_UPLOADS, query) == []
            # A real server sends one two seconds before the watch ends, the embedded one when it ends.
            query |= {"allowWatchBookmarks": "true", "timeoutSeconds": "1" if cluster.embedded else "5"}
            events = cluster.lines(DATA_UPLOADS, query)
        finally:
            done.set()
            thread.join()
        assert {event["type"] for event in events} == {"BOOKMARK"}
        bookmark = events[0]["object"]
        assert (bookmark["apiVersion"], bookmark["kind"]) == ("velero.io/v2alpha1", "DataUpload")
        assert int(bookmark["metadata"]["resourceVersion"]) > int(start)

    def test_initial_events_end_with_a_bookmark(self, cluster: Cluster) -> None:
        cluster.client.create(resource.CONFIG_MAP, cluster.config_map("cm"))
        query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
        events = cluster.lines(CONFIG_MAPS, query)
        assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
        assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    def test_initial_events_need_a_version_match(self, cluster: Cluster) -> None:
        answer = cluster.send("GET", CONFIG_MAPS, query={"watch": "true", "sendInitialEvents": "true"})
        assert (answer.code, answer.json["reason"]) == (422, "Invalid")

    def test_version_that_is_too_old(self, cluster: Cluster) -> None:
        with pytest.raises(errors.GoneError, match="too old resource version"):
            list(cluster.client.watch(resource.DATA_UPLOAD, cluster.namespace, resource_version="1", timeout_seconds=1))

    def test_version_that_is_none(self, cluster: Cluster) -> None:
        answer = cluster.send("GET", CONFIG_MAPS, query={"watch": "true", "resourceVersion": "nonsense"})
        assert answer.code == 500
        assert cluster.send("GET", CONFIG_MAPS, query={"resourceVersion": "nonsense"}).code == 400

    def test_version_of_the_future(self, cluster: Cluster) -> None:
        answer = cluster.send("GET", CONFIG_MAPS, query={"resourceVersion": "999999999"})
        assert (answer.code, answer.json["reason"]) == (504, "Timeout")
        assert cluster.lines(CONFIG_MAPS, {"resourceVersion": "999999999"}) == []

    def test_a_single_object_by_field_selector(self, cluster: Cluster) -> None:
        for name in ("a", "b"):
            cluster.client.create(resource.CONFIG_MAP, cluster.config_map(name))
        events = cluster.lines(CONFIG_MAPS, {"fieldSelector": "metadata.name=b"})
        assert [event["object"]["metadata"]["name"] for event in events] == ["b"]
        assert events[0]["object"]["kind"] == "ConfigMap"
