"""Go's durations."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from velero_py_plugin.api.duration import InvalidDurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("10m0s", 600.0),
        ("4h", 14400.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        (".5m", 30.0),
        ("250ms", 0.25),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("7ns", 7e-9),
        ("-1m30s", -90.0),
        ("+2s", 2.0),
    ],
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "10", "10 m", "m", "1d", "1h-5m", "soon", "1h ", "1..5s", "\u0661s", "10m0"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidDurationError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (5, "5s"),
        (60, "1m0s"),
        (600, "10m0s"),
        (3600, "1h0m0s"),
        (3725, "1h2m5s"),
        (-90, "-1m30s"),
    ],
)
def test_format(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(strategies.integers(-(10**9), 10**9))
def test_whole_seconds_survive(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(strategies.text(max_size=12))
def test_any_text_is_a_number_or_the_one_error(text: str) -> None:
    try:
        value = parse_duration(text)
    except InvalidDurationError:
        return
    assert isinstance(value, float)
