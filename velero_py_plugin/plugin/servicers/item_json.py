"""Kubernetes objects as the JSON bytes that travel inside the messages.

Uses the standard library's ``json``: integers of any size stay integers, which orjson refuses beyond 64 bits.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from velero_py_plugin import errors


class InvalidItemError(errors.PermanentError):
    """An object is not what it must be: JSON text of an object, with a ``kind`` where Velero insists."""

    reason: ClassVar[str] = "InvalidItem"


def decode_object(data: bytes, what: str) -> dict[str, Any]:
    """Reads an object.

    Args:
        data: UTF-8 JSON.
        what: The field's name, for the error.

    Raises:
        InvalidItemError: The bytes are not a JSON object.
    """
    try:
        decoded = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidItemError(f"{what} is not JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise InvalidItemError(f"{what} is not a JSON object but {type(decoded).__name__}")
    return decoded


def encode_item(item: dict[str, Any]) -> bytes:
    """Writes an object that an action hands back to Velero.

    Raises:
        InvalidItemError: The object has no ``kind``, or holds what JSON cannot express. Velero would refuse it with a
            less helpful text.
    """
    if not item.get("kind"):
        raise InvalidItemError(
            "the action returned an item without a kind: return the whole object, or None for no change"
        )
    try:
        return json.dumps(item, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidItemError(f"the action returned an item that is not JSON: {error}") from error
