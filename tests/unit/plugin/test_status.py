from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin import errors
from velero_py_plugin._pb.velero import shared_pb2
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.status import MAX_FRAMES, MAX_MESSAGE_CHARACTERS, status_of


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - whatever was given
        return caught


def stack_of(error: BaseException) -> list[shared_pb2.StackFrame]:
    (detail,) = status_of(error).details
    assert detail.type_url == "type.googleapis.com/generated.Stack"
    stack = shared_pb2.Stack()
    assert detail.Unpack(stack)
    return list(stack.frames)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.PermanentError("no class"), "no class"),
        (errors.TemporaryError("later"), "later"),
        (kinds.InvalidOperationIDError("x"), "operation ID x is invalid"),
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
    ],
)
def test_what_the_world_does_is_unknown_with_its_text(error: Exception, text: str) -> None:
    status = status_of(raised(error))
    assert (status.code, status.message) == (grpc.StatusCode.UNKNOWN.value[0], text)


@pytest.mark.parametrize(
    ("error", "text"),
    [(KeyError("x"), "KeyError: 'x'"), (ValueError("y"), "ValueError: y"), (SystemExit(3), "SystemExit: 3")],
)
def test_a_bug_is_aborted_as_a_panic(error: BaseException, text: str) -> None:
    status = status_of(raised(error))
    assert (status.code, status.message) == (grpc.StatusCode.ABORTED.value[0], f"plugin panicked: {text}")


def test_the_stack_begins_where_the_error_was_raised() -> None:
    frames = stack_of(raised(errors.PermanentError("x")))
    assert [frame.function for frame in frames] == ["raised"]
    assert frames[0].file == __file__
    assert frames[0].line == raised.__code__.co_firstlineno + 2


def test_the_stack_is_that_of_the_cause() -> None:
    def cause() -> None:
        raise OSError("first")

    def effect() -> None:
        try:
            cause()
        except OSError as error:
            raise errors.PermanentError("second") from error

    with pytest.raises(errors.PermanentError) as caught:
        effect()
    assert stack_of(caught.value)[0].function.endswith("cause")


def test_a_deep_stack_keeps_its_inner_end() -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            raise errors.PermanentError("deep")
        recurse(depth - 1)

    with pytest.raises(errors.PermanentError) as caught:
        recurse(500)
    frames = stack_of(caught.value)
    assert len(frames) == MAX_FRAMES
    assert frames[0].line == frames[1].line - 1


@given(st.text(st.characters(codec=None)) | st.just("x" * 100_000) | st.just("\ud800 lone"))
def test_any_message_can_travel(text: str) -> None:
    status = status_of(raised(errors.PermanentError(text)))
    assert len(status.message) <= MAX_MESSAGE_CHARACTERS
    status.SerializeToString()
