from __future__ import annotations

import threading
from concurrent import futures
from typing import Any

import pytest

from tests.support.sample_plugin import SECRET, STARTED, UPLOAD, Plain, SampleBackup
from tests.unit.plugin.servicers.conftest import Serve
from velero_py_plugin import errors
from velero_py_plugin._pb.velero.v2 import backup_item_action_pb2 as pb
from velero_py_plugin.plugin import kinds
from velero_py_plugin.testing.plugin_host import BackupItemActionClient, Connection, PluginCallError

NAME = "example.io/backup"
BACKUP = {"metadata": {"name": "nightly"}, "status": {"phase": "InProgress"}}


def config_map(do: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "x"}, "spec": {"do": do}}


def execute_raw(connection: Connection, item: bytes, backup: bytes = b"{}", plugin: str = NAME) -> pb.ExecuteResponse:
    request = pb.ExecuteRequest(plugin=plugin, item=item, backup=backup)
    answer: pb.ExecuteResponse = connection.call(pb.DESCRIPTOR, "BackupItemAction", "Execute", request)
    return answer


@pytest.fixture
def connection(serve_actions: Serve) -> Connection:
    return serve_actions({NAME: SampleBackup, "example.io/plain": Plain})


@pytest.fixture
def action(connection: Connection) -> BackupItemActionClient:
    return BackupItemActionClient(connection, NAME)


def test_applies_to_is_the_same_every_time(action: BackupItemActionClient) -> None:
    assert {action.applies_to() for _ in range(100)} == {SampleBackup().applies_to()}


def test_an_empty_selector_is_still_sent(connection: Connection) -> None:
    request = pb.BackupItemActionAppliesToRequest(plugin="example.io/plain")
    answer = connection.call(pb.DESCRIPTOR, "BackupItemAction", "AppliesTo", request)
    assert answer.HasField("ResourceSelector")


@pytest.mark.parametrize(
    "item", [b'{ "kind" : "X",\n "n": 12345678901234567890.00, "n2":1E5 }', b'{"kind":"X","a":null,"a":{}}', b"{}"]
)
def test_no_change_echoes_the_very_bytes(connection: Connection, item: bytes) -> None:
    assert execute_raw(connection, item).item == item


def test_a_changed_item_and_everything_beside_it(action: BackupItemActionClient) -> None:
    result = action.execute({**config_map("change"), "big": 2**64 + 1, "empty": {}, "null": None}, BACKUP)
    assert result == kinds.BackupItemActionResult(
        {
            "kind": "ConfigMap",
            "metadata": {"name": "x", "annotations": {"example.io/backup": "nightly"}},
            "spec": {"do": "change"},
            "big": 2**64 + 1,
            "empty": {},
            "null": None,
        },
        (SECRET,),
        "op-1",
        (UPLOAD,),
    )


def test_progress(action: BackupItemActionClient) -> None:
    assert action.progress("op-1", BACKUP) == kinds.OperationProgress(
        n_completed=3, n_total=2**53 + 1, operation_units="Bytes", started=STARTED
    )


def test_cancel_twice(action: BackupItemActionClient) -> None:
    action.cancel("op-1", BACKUP)
    action.cancel("op-1", BACKUP)


def test_an_unknown_operation(action: BackupItemActionClient) -> None:
    with pytest.raises(PluginCallError) as caught:
        action.progress("op-9", BACKUP)
    assert str(caught.value) == "rpc error: code = Unknown desc = operation ID op-9 is invalid"


def test_an_expected_error_comes_with_its_stack(action: BackupItemActionClient) -> None:
    with pytest.raises(PluginCallError) as caught:
        action.execute(config_map("fail"), BACKUP)
    assert (caught.value.code, caught.value.message) == ("Unknown", "the claim has no snapshot class")
    assert caught.value.stack[0].file.endswith("sample_plugin.py")
    assert caught.value.stack[0].function == "act"


@pytest.mark.parametrize(
    ("do", "text"), [("bug", "plugin panicked: KeyError: 'missing'"), ("exit", "plugin panicked: SystemExit: 3")]
)
def test_a_bug_is_aborted(action: BackupItemActionClient, do: str, text: str) -> None:
    with pytest.raises(PluginCallError) as caught:
        action.execute(config_map(do), BACKUP)
    assert (caught.value.code, caught.value.message) == ("Aborted", text)
    assert caught.value.stack[0].function == "act"


def test_messages_of_all_sorts_arrive(serve_actions: Serve) -> None:
    class Failing(Plain):
        def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
            raise errors.PermanentError(request.item["text"])

    action = BackupItemActionClient(serve_actions({"example.io/f": Failing}), "example.io/f")
    for text in ("größer\nals 100 % \U0001f600", "x" * 100_000, ""):
        with pytest.raises(PluginCallError) as caught:
            action.execute({"kind": "X", "text": text}, {})
        assert caught.value.message == text[:4096]


def test_an_unknown_plugin(connection: Connection) -> None:
    for name in ("example.io/other", "no-slash", ""):
        with pytest.raises(PluginCallError) as caught:
            BackupItemActionClient(connection, name).applies_to()
        assert caught.value.code == "Unknown"
        assert caught.value.message.startswith(f"BackupItemActionV2 plugin: {name} was not found")


@pytest.mark.parametrize(
    ("item", "backup", "text"),
    [
        (b"", b"{}", "item is not JSON"),
        (b"null", b"{}", "item is not a JSON object"),
        (b"{}", b"[", "backup is not JSON"),
    ],
)
def test_what_does_not_decode(connection: Connection, item: bytes, backup: bytes, text: str) -> None:
    with pytest.raises(PluginCallError, match=f"^rpc error: code = Unknown desc = {text}"):
        execute_raw(connection, item, backup)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, "the action returned NoneType, not BackupItemActionResult"),
        (kinds.BackupItemActionResult(operation_id=5), "TypeError"),  # type: ignore[arg-type] # what the test is about
        (kinds.BackupItemActionResult({"metadata": {}}), "without a kind"),
    ],
)
def test_a_wrong_answer_is_an_error_and_not_a_hang(serve_actions: Serve, returned: Any, text: str) -> None:
    class Odd(Plain):
        def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
            result: kinds.BackupItemActionResult = returned
            return result

    action = BackupItemActionClient(serve_actions({"example.io/odd": Odd}), "example.io/odd")
    with pytest.raises(PluginCallError, match=text):
        action.execute({"kind": "X"}, {})


def test_objects_of_17_mib_in_both_directions(action: BackupItemActionClient) -> None:
    item = {**config_map("change"), "data": "x" * (17 << 20)}
    result = action.execute(item, BACKUP)
    assert result.item
    assert result.item["data"] == item["data"]


def test_calls_run_side_by_side(serve_actions: Serve) -> None:
    together = threading.Barrier(8, timeout=10)

    class Meeting(Plain):
        def execute(self, request: kinds.BackupItemActionRequest) -> kinds.BackupItemActionResult:
            together.wait()
            request.item["seen"] = request.item["number"]
            return kinds.BackupItemActionResult(request.item)

    action = BackupItemActionClient(serve_actions({"example.io/meeting": Meeting}), "example.io/meeting")
    with futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: action.execute({"kind": "X", "number": number}, {}), range(8)))
    assert [result.item["seen"] for result in results if result.item] == list(range(8))
