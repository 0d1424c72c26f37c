"""Label and field selectors.

Source: kubernetes v1.34.2 ``apimachinery/pkg/labels/selector.go`` and ``apimachinery/pkg/fields/selector.go``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from velero_py_plugin.testing.kubernetes_api import metadata, status

Predicate = Callable[[Mapping[str, Any]], bool]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_EQUALITY = re.compile(r"^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$")
_EXISTENCE = re.compile(r"^(!?)\s*([^\s=!(),]+)$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


def parse_labels(text: str) -> Predicate:
    """Reads a label selector.

    Returns:
        Whether an object's labels match.

    Raises:
        ApiError: 400, the text is no selector.
    """
    tests = [_label_test(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(text)] if text.strip() else []

    def matches(resource: Mapping[str, Any]) -> bool:
        labels = resource["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _label_test(text: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(text):
        key, operator, listed = match.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        _check(text, key, values)
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUALITY.match(text):
        key, operator, value = match.groups()
        _check(text, key, {value})
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTENCE.match(text):
        negated, key = match.groups()
        _check(text, key, ())
        return lambda labels: (key in labels) != bool(negated)
    raise status.bad_request(f"unable to parse requirement: {text!r}")


def _check(text: str, key: str, values: Any) -> None:
    problems = [*metadata.label_key_problems(key)]
    for value in values:
        problems += metadata.label_value_problems(value)
    if problems:
        raise status.bad_request(f"unable to parse requirement {text!r}: {problems[0]}")


def parse_fields(text: str, readable: Mapping[str, tuple[str, ...]]) -> Predicate:
    """Reads a field selector.

    Args:
        text: The selector.
        readable: Field label -> where its value is in an object, for the type's selectable fields.

    Returns:
        Whether an object's fields match.

    Raises:
        ApiError: 400, the text is no selector or names a field that cannot be selected by.
    """
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        match = _EQUALITY.match(part)
        if not match:
            raise status.bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        field, operator, value = match.groups()
        if field not in readable:
            raise status.bad_request(f'field label not supported: "{field}"')
        tests.append((readable[field], operator != "!=", value))

    def matches(resource: Mapping[str, Any]) -> bool:
        return all((_value(resource, path) == value) == wanted for path, wanted, value in tests)

    return matches


def _value(resource: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = resource
    for step in path:
        value = (value or {}).get(step)
    return "" if value is None else str(value)
