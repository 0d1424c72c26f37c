"""What an action returned, checked: Python lets it return anything, most often nothing."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def checked(value: object, expected: type[T]) -> T:
    """Hands the value on if it has the type the kind asks for.

    Raises:
        TypeError: It has another one.
    """
    if not isinstance(value, expected):
        raise TypeError(f"the action returned {type(value).__name__}, not {expected.__name__}")
    return value
