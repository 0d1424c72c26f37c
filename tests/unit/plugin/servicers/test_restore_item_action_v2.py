from __future__ import annotations

import datetime
import functools
from typing import Any

import pytest

from tests.support.sample_plugin import SECRET, STARTED, SampleRestore
from tests.unit.plugin.servicers.conftest import Serve
from velero_py_plugin._pb.velero.v2 import restore_item_action_pb2 as pb
from velero_py_plugin.plugin import kinds
from velero_py_plugin.testing.plugin_host import Connection, PluginCallError, RestoreItemActionClient

NAME = "example.io/restore"
RESTORE = {"metadata": {"name": "after-the-fire"}}
BACKED_UP = {"kind": "PersistentVolumeClaim", "metadata": {"name": "x"}, "spec": {"volumeName": "pv-1"}}


class Bare(kinds.RestoreItemActionV2):
    """Answers with what the test put in."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def applies_to(self) -> kinds.ResourceSelector:
        return kinds.ResourceSelector()

    def execute(self, request: kinds.RestoreItemActionRequest) -> kinds.RestoreItemActionResult:
        result: kinds.RestoreItemActionResult = self._answer
        return result

    def are_additional_items_ready(self, additional_items: Any, restore: Any) -> bool:
        ready: bool = self._answer
        return ready


def claim(do: str) -> dict[str, Any]:
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": "x"}, "spec": {"do": do}}


@pytest.fixture
def connection(serve_actions: Serve) -> Connection:
    return serve_actions({NAME: SampleRestore})


@pytest.fixture
def action(connection: Connection) -> RestoreItemActionClient:
    return RestoreItemActionClient(connection, NAME)


def execute_raw(connection: Connection, item: bytes) -> pb.RestoreItemActionExecuteResponse:
    request = pb.RestoreItemActionExecuteRequest(plugin=NAME, item=item, itemFromBackup=b"{}", restore=b"{}")
    answer: pb.RestoreItemActionExecuteResponse = connection.call(
        pb.DESCRIPTOR, "RestoreItemAction", "Execute", request
    )
    return answer


def test_applies_to(action: RestoreItemActionClient) -> None:
    assert action.applies_to() == kinds.ResourceSelector(included_resources=("persistentvolumeclaims",))


def test_everything_an_action_can_ask_for(action: RestoreItemActionClient) -> None:
    assert action.execute(claim("change"), BACKED_UP, RESTORE) == kinds.RestoreItemActionResult(
        {
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "x",
                "annotations": {"example.io/volume": "pv-1", "example.io/restore": "after-the-fire"},
            },
            "spec": {"do": "change"},
        },
        (SECRET,),
        skip_restore=False,
        operation_id="op-2",
        wait_for_additional_items=True,
        additional_items_ready_timeout=datetime.timedelta(seconds=90, milliseconds=5),
    )


def test_a_skipped_item_is_still_sent_byte_for_byte(connection: Connection) -> None:
    item = b'{ "kind":"PersistentVolumeClaim", "spec": {"do":"skip"}}'
    answer = execute_raw(connection, item)
    assert answer.skipRestore
    assert answer.item == item
    assert not answer.HasField("additionalItemsReadyTimeout")


@pytest.mark.parametrize("timeout", [datetime.timedelta(0), None])
def test_no_timeout_means_the_server_s(serve_actions: Serve, timeout: datetime.timedelta | None) -> None:
    answer = kinds.RestoreItemActionResult(additional_items_ready_timeout=timeout)
    action = RestoreItemActionClient(serve_actions({NAME: functools.partial(Bare, answer)}), NAME)
    assert action.execute(claim(""), BACKED_UP, RESTORE).additional_items_ready_timeout is None


def test_progress_of_a_failed_operation(action: RestoreItemActionClient) -> None:
    assert action.progress("op-2", RESTORE) == kinds.OperationProgress(
        completed=True, error="disk full", updated=STARTED
    )


def test_cancel_is_harmless(action: RestoreItemActionClient) -> None:
    action.cancel("op-2", RESTORE)


@pytest.mark.parametrize(("items", "ready"), [((), False), ((SECRET,), True)])
def test_readiness(action: RestoreItemActionClient, items: Any, ready: bool) -> None:
    assert action.are_additional_items_ready(items, RESTORE) is ready


@pytest.mark.parametrize("answer", [None, "yes", 1])
def test_readiness_is_yes_or_no(serve_actions: Serve, answer: Any) -> None:
    action = RestoreItemActionClient(serve_actions({NAME: functools.partial(Bare, answer)}), NAME)
    with pytest.raises(PluginCallError, match="not bool"):
        action.are_additional_items_ready((), RESTORE)


def test_errors_are_statuses(action: RestoreItemActionClient) -> None:
    with pytest.raises(PluginCallError) as caught:
        action.execute(claim("fail"), BACKED_UP, RESTORE)
    assert str(caught.value) == "rpc error: code = Unknown desc = the claim has no snapshot class"
    with pytest.raises(PluginCallError, match="code = Aborted desc = plugin panicked: KeyError"):
        action.execute(claim("bug"), BACKED_UP, RESTORE)
