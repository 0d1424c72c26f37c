"""Rules for ``metadata``: names, labels, annotations, finalizers, owners.

Source: kubernetes v1.34.2 ``apimachinery/pkg/util/validation/validation.go`` and
``apimachinery/pkg/api/validation/objectmeta.go``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_GENERATED: Final = 63
_ANNOTATIONS_LIMIT: Final = 256 * 1024


def generated_name(base: str) -> str:
    """``generateName`` with five random characters; the whole is at most 63 characters long."""
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return base[: _LONGEST_GENERATED - _SUFFIX_LENGTH] + suffix


def subdomain_problems(name: str) -> Iterator[str]:
    """Why a text is not a DNS-1123 subdomain of at most 253 characters."""
    if len(name) > 253:
        yield "must be no more than 253 characters"
    if not _SUBDOMAIN.fullmatch(name):
        yield (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )


def dns_label_problems(name: str) -> Iterator[str]:
    """Why a text is not a DNS-1123 label of at most 63 characters."""
    if len(name) > 63:
        yield "must be no more than 63 characters"
    if not _LABEL.fullmatch(name):
        yield (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            "and must start and end with an alphanumeric character"
        )


def label_key_problems(key: str) -> Iterator[str]:
    """Why a text is not a qualified name: an optional DNS-1123 prefix and a name of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    if slash:
        if not prefix:
            yield "prefix part must be non-empty"
        else:
            for problem in subdomain_problems(prefix):
                yield f"prefix part {problem}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 characters"
    if not _QUALIFIED_NAME.fullmatch(name):
        yield (
            "name part must consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )


def label_value_problems(value: str) -> Iterator[str]:
    """Why a text is not a label value."""
    if len(value) > 63:
        yield "must be no more than 63 characters"
    if value and not _QUALIFIED_NAME.fullmatch(value):
        yield (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )


def problems(metadata: Mapping[str, Any], *, name_is_label: bool) -> Iterator[str]:
    """What is wrong with an object's metadata, each as ``field: problem``.

    Args:
        metadata: The metadata, with its final name, of the right JSON types (see :func:`type_problem`).
        name_is_label: Whether names are DNS labels instead of DNS subdomains.
    """
    name = metadata["name"]
    for problem in dns_label_problems(name) if name_is_label else subdomain_problems(name):
        yield f'metadata.name: Invalid value: "{name}": {problem}'
    for key, value in (metadata.get("labels") or {}).items():
        for problem in label_key_problems(key):
            yield f'metadata.labels: Invalid value: "{key}": {problem}'
        for problem in label_value_problems(value):
            yield f'metadata.labels: Invalid value: "{value}": {problem}'
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        for problem in label_key_problems(key.lower()):
            yield f'metadata.annotations: Invalid value: "{key}": {problem}'
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield f"metadata.annotations: Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
    for finalizer in metadata.get("finalizers") or ():
        for problem in label_key_problems(finalizer):
            yield f'metadata.finalizers: Invalid value: "{finalizer}": {problem}'
    yield from _owner_problems(metadata.get("ownerReferences") or ())


def _owner_problems(owners: Any) -> Iterator[str]:
    for index, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield f'metadata.ownerReferences[{index}].{field}: Invalid value: "": must not be empty'
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield "metadata.ownerReferences: Invalid value: Only one reference can have Controller set to true"


def type_problem(metadata: Any) -> str | None:
    """Which part of the metadata has a JSON type no server can decode, if any."""
    if not isinstance(metadata, dict):
        return "metadata is not an object"
    for field in ("name", "generateName", "namespace", "uid", "resourceVersion"):
        if not isinstance(metadata.get(field) or "", str):
            return f"metadata.{field} is not a string"
    for field in ("labels", "annotations"):
        value = metadata.get(field) or {}
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            return f"metadata.{field} is not a map of strings"
    for field, kind in (("finalizers", str), ("ownerReferences", dict)):
        value = metadata.get(field) or []
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            return f"metadata.{field} is not a list of the right kind"
    return None
