"""The part of structural schemas that CustomResourceDefinitions of this project's types use.

Unknown fields are dropped and the rest is checked, as the API server does (kubernetes v1.34.2
``apiextensions-apiserver/pkg/apiserver/schema/pruning`` and ``.../validation``).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Final


@dataclasses.dataclass(frozen=True)
class Schema:
    """What one field may hold.

    Attributes:
        type: ``object``, ``array``, ``string``, ``integer`` or ``boolean``; empty for anything.
        properties: Fields of an object; others are dropped.
        values: Schema of every value of a map, instead of ``properties``.
        items: Schema of every item of an array.
        required: Fields an object must have.
        exactly_one: Exactly one of these fields must be there.
        enum: The values allowed.
        nullable: Whether null is allowed.
        date_time: Whether the string is an RFC 3339 time.
        immutable: Whether a value, once set, must stay.
        open: Whether unknown fields of an object are kept.
    """

    type: str = ""
    properties: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    values: Schema | None = None
    items: Schema | None = None
    required: tuple[str, ...] = ()
    exactly_one: tuple[str, ...] = ()
    enum: tuple[str, ...] = ()
    nullable: bool = False
    date_time: bool = False
    immutable: bool = False
    open: bool = False


STRING: Final = Schema("string")
BOOLEAN: Final = Schema("boolean")
INTEGER: Final = Schema("integer")
TIME: Final = Schema("string", nullable=True, date_time=True)
STRING_MAP: Final = Schema("object", values=STRING, nullable=True)
ANY_OBJECT: Final = Schema("object", open=True)

_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
}


def enum(*values: str) -> Schema:
    """A string that is one of a few."""
    return Schema("string", enum=values)


def prune(schema: Schema, value: Any) -> Any:
    """A copy of the value without the fields the schema does not know, and without nulls it does not allow."""
    if isinstance(value, dict) and schema.type == "object":
        if schema.values is not None:
            fields = dict.fromkeys(value, schema.values)
        else:
            fields = {key: schema.properties[key] for key in value if key in schema.properties}
        known = {
            key: prune(field, value[key]) for key, field in fields.items() if value[key] is not None or field.nullable
        }
        return {**{key: item for key, item in value.items() if key not in fields}, **known} if schema.open else known
    if isinstance(value, list) and schema.items is not None:
        return [prune(schema.items, item) for item in value]
    return value


def problems(schema: Schema, value: Any, path: str, old: Any = None) -> Iterator[str]:
    """What is wrong with a value, each as ``field: problem``; ``old`` is the value before an update."""
    if value is None and schema.nullable:
        return
    if schema.type and not _has_type(schema, value):
        found = "null" if value is None else _json_type(value)
        yield f'{path}: Invalid value: "{found}": {path} in body must be of type {schema.type}: "{found}"'
        return
    if schema.enum and value not in schema.enum:
        allowed = ", ".join(f'"{item}"' for item in schema.enum)
        yield f'{path}: Unsupported value: "{value}": supported values: {allowed}'
    if schema.date_time and not _is_time(value):
        yield f'{path}: Invalid value: "{value}": {path} in body must be of type date-time: "{value}"'
    if isinstance(value, dict):
        yield from _object_problems(schema, value, path, old if isinstance(old, dict) else {})
    if isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            yield from problems(schema.items, item, f"{path}[{index}]")


def _object_problems(schema: Schema, value: Mapping[str, Any], path: str, old: Mapping[str, Any]) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for field in schema.required:
        if field not in value:
            yield f"{prefix}{field}: Required value"
    if schema.exactly_one and sum(field in value for field in schema.exactly_one) != 1:
        yield f"{path}: Invalid value: exactly one of {', '.join(schema.exactly_one)} must be set"
    for field, inner in schema.properties.items():
        if inner.immutable and field in old and value.get(field) != old[field]:
            yield f"{prefix}{field}: Invalid value: {field} is immutable"
    for field, item in value.items():
        inner_schema = schema.values or schema.properties.get(field)
        if inner_schema is not None:
            yield from problems(inner_schema, item, f"{prefix}{field}", old.get(field))


def _has_type(schema: Schema, value: Any) -> bool:
    if isinstance(value, bool):
        return schema.type == "boolean"
    return isinstance(value, _PYTHON_TYPES[schema.type])


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "number"
    return next((name for name, kind in _PYTHON_TYPES.items() if isinstance(value, kind)), "null")


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None and "T" in text.upper()
    except ValueError:
        return False
