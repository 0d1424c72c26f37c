"""The metadata every Kubernetes object carries, as far as this project reads it, and its timestamps."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class ObjectMeta:
    """Identity and bookkeeping of one object.

    Attributes:
        name: Name.
        namespace: Namespace, empty for cluster-scoped objects.
        uid: Identity in space and time: a new object of the same name has another one.
        resource_version: Changes with every write; what an optimistic lock compares.
        labels: Labels.
        finalizers: Who must finish before a deleted object disappears.
        created: When the object was created, seconds since 1970; ``None`` before the server has stored it.
        deleted: Whether deletion has been asked for.
    """

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    created: float | None = None
    deleted: bool = False

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Reads ``metadata``; whatever is absent keeps its default."""
        meta = resource.get("metadata") or {}
        return cls(
            name=meta.get("name") or "",
            namespace=meta.get("namespace") or "",
            uid=meta.get("uid") or "",
            resource_version=meta.get("resourceVersion") or "",
            labels=dict(meta.get("labels") or {}),
            finalizers=tuple(meta.get("finalizers") or ()),
            created=parse_time(meta.get("creationTimestamp")),
            deleted=bool(meta.get("deletionTimestamp")),
        )


def parse_time(text: str | None) -> float | None:
    """Reads an RFC 3339 timestamp as seconds since 1970; absent, empty and unreadable give ``None``."""
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def format_time(seconds: float) -> str:
    """Writes seconds since 1970 as Kubernetes stores times: RFC 3339, UTC, whole seconds."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
