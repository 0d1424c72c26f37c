"""Metadata and timestamps."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from velero_py_plugin.api.object_meta import ObjectMeta, format_time, parse_time


def test_reads_everything() -> None:
    meta = ObjectMeta.from_object(
        {
            "metadata": {
                "name": "n",
                "namespace": "ns",
                "uid": "u",
                "resourceVersion": "7",
                "labels": {"a": "b"},
                "finalizers": ["f"],
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "deletionTimestamp": "2026-01-01T00:00:01Z",
            }
        }
    )
    assert meta == ObjectMeta("n", "ns", "u", "7", {"a": "b"}, ("f",), 1767225600.0, deleted=True)


@pytest.mark.parametrize("resource", [{}, {"metadata": None}, {"metadata": {"labels": None, "finalizers": None}}])
def test_reads_nothing(resource: dict[str, object]) -> None:
    assert ObjectMeta.from_object(resource) == ObjectMeta()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T01:00:00+01:00", 1767225600.0),
        ("2026-01-01T00:00:00.5Z", 1767225600.5),
        ("2026-01-01T00:00:00", 1767225600.0),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_time(text: str | None, seconds: float | None) -> None:
    assert parse_time(text) == seconds


@given(strategies.integers(0, 2**35))
def test_whole_seconds_survive(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds
