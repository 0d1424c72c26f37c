"""Labels of snapshots as words of a command line."""

from __future__ import annotations

from collections.abc import Sequence

from velero_py_plugin import errors


def parse_tags(words: Sequence[str]) -> dict[str, str]:
    """Reads labels.

    Raises:
        UsageError: One is not of the form ``KEY=VALUE``.
    """
    parsed: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise errors.UsageError(f"the tag {word!r} is not KEY=VALUE")
        parsed[key] = value
    return parsed
