"""Durations as Go writes them in Kubernetes objects: ``10m0s``, ``1h30m``, ``1.5s``.

Source: golang/go go1.24 ``time/format.go`` (``ParseDuration``), ``time/time.go`` (``Duration.String``).
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from velero_py_plugin import errors

_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


class InvalidDurationError(errors.PermanentError):
    """A text is not a duration."""

    reason: ClassVar[str] = "InvalidDuration"


def parse_duration(text: str) -> float:
    """Reads a duration.

    Args:
        text: What Go's ``ParseDuration`` accepts: a sign, then numbers with units, or a bare ``0``.

    Returns:
        Seconds.

    Raises:
        InvalidDurationError: ``text`` is anything else.
    """
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0.0
    parts = _PART.findall(rest)
    if not rest or "".join(number + unit for number, unit in parts) != rest:
        raise InvalidDurationError(f'"{text}" is not a duration; write for example 10m0s or 1h30m.')
    return sign * sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Writes whole seconds the way Go prints them: ``1h0m0s``, ``10m0s``, ``5s``; fractions of a second are dropped."""
    whole = abs(int(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    text = f"{whole % 60}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return f"-{text}" if seconds <= -1 else text
