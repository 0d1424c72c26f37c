"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any


class PatchError(Exception):
    """The patch cannot be applied to the document: a missing path, a ``test`` that is not met, a bad operation."""


def merge(document: Any, patch: Any) -> Any:
    """Applies a merge patch; neither argument is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def apply(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """Applies a JSON patch; neither argument is changed.

    Raises:
        PatchError: An operation cannot be applied.
    """
    holder = [copy.deepcopy(document)]  # the whole document is the holder's only item, so that it can be replaced
    for operation in operations:
        _apply_one(holder, operation)
    return holder[0]


def _apply_one(holder: list[Any], operation: Mapping[str, Any]) -> None:
    name, path = operation.get("op"), _pointer(operation.get("path"))
    if name in ("add", "replace", "test") and "value" not in operation:
        raise PatchError(f'operation "{name}" has no value')
    if name == "test":
        if not _equal(_get(holder, path), operation["value"]):
            raise PatchError(f"testing path {operation['path']} failed")
    elif name == "add":
        _add(holder, path, copy.deepcopy(operation["value"]))
    elif name == "replace":
        _remove(holder, path)
        _add(holder, path, copy.deepcopy(operation["value"]))
    elif name == "remove":
        _remove(holder, path)
    elif name == "copy":
        _add(holder, path, copy.deepcopy(_get(holder, _pointer(operation.get("from")))))
    elif name == "move":
        source = _pointer(operation.get("from"))
        if path[: len(source)] == source and path != source:
            raise PatchError("a value cannot be moved into itself")
        value = _get(holder, source)
        _remove(holder, source)
        _add(holder, path, value)
    else:
        raise PatchError(f"unknown operation {name!r}")


def _pointer(text: Any) -> list[str]:
    """Splits a JSON pointer; the leading step selects the whole document in its holder."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{text!r} is not a JSON pointer")
    return ["0", *(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])]


def _get(holder: list[Any], path: Sequence[str]) -> Any:
    value: Any = holder
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list):
            value = value[_index(step, len(value) - 1)]
        else:
            raise PatchError(f"there is nothing at {'/'.join(path[1:])}")
    return value


def _add(holder: list[Any], path: Sequence[str], value: Any) -> None:
    if len(path) == 1:
        holder[:] = [value]
        return
    parent, last = _get(holder, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        raise PatchError(f"{'/'.join(path[1:-1])} is neither an object nor a list")


def _remove(holder: list[Any], path: Sequence[str]) -> None:
    _get(holder, path)
    parent, last = _get(holder, path[:-1]), path[-1]
    if isinstance(parent, dict):
        del parent[last]
    else:
        del parent[_index(last, len(parent) - 1)]


def _index(text: str, largest: int) -> int:
    if not text.isascii() or not text.isdigit() or (text != "0" and text.startswith("0")) or int(text) > largest:
        raise PatchError(f"{text!r} is not an index of the list")
    return int(text)


def _equal(left: Any, right: Any) -> bool:
    """Equality of JSON values: Python would take ``True`` for 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
