from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from velero_py_plugin._pb.velero import shared_pb2
from velero_py_plugin.plugin import kinds
from velero_py_plugin.plugin.servicers import messages

TEXT = st.text()
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.none() | st.datetimes(min_value=datetime.datetime(1, 1, 1, 0, 0, 1), timezones=st.just(datetime.UTC))


@given(st.builds(kinds.ResourceSelector, TEXTS, TEXTS, TEXTS, TEXTS, TEXT))
def test_selectors_survive_the_wire(selector: kinds.ResourceSelector) -> None:
    sent = messages.selector_to_pb(selector).SerializeToString()
    assert messages.selector_from_pb(shared_pb2.ResourceSelector.FromString(sent)) == selector


@given(st.lists(st.builds(kinds.ResourceIdentifier, TEXT, TEXT, TEXT, TEXT)).map(tuple))
def test_identifiers_survive_the_wire(identifiers: tuple[kinds.ResourceIdentifier, ...]) -> None:
    sent = [message.SerializeToString() for message in messages.identifiers_to_pb(identifiers)]
    assert messages.identifiers_from_pb(map(shared_pb2.ResourceIdentifier.FromString, sent)) == identifiers


@given(st.builds(kinds.OperationProgress, st.booleans(), TEXT, INT64, INT64, TEXT, TEXT, TIMES, TIMES))
def test_progress_survives_the_wire(progress: kinds.OperationProgress) -> None:
    sent = messages.progress_to_pb(progress).SerializeToString()
    assert messages.progress_from_pb(shared_pb2.OperationProgress.FromString(sent)) == progress


def test_a_time_nobody_knows_is_go_s_zero_time() -> None:
    sent = messages.progress_to_pb(kinds.OperationProgress())
    assert (sent.started.seconds, sent.started.nanos) == (-62135596800, 0)
    assert sent.HasField("updated")


def test_an_absent_time_is_1970_as_it_is_for_velero() -> None:
    assert messages.progress_from_pb(shared_pb2.OperationProgress()).started == datetime.datetime.fromtimestamp(
        0, datetime.UTC
    )


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    sent = messages.progress_to_pb(kinds.OperationProgress(started=datetime.datetime(1970, 1, 1, 2, tzinfo=zone)))
    assert sent.started.seconds == 0
