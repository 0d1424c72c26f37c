"""The messages that several kinds share, as the dataclasses of ``kinds``, in both directions.

Velero counts an absent timestamp as set, to 1970-01-01; "not known" travels as Go's zero time, the first second of
year 1 (velero v1.18.1 ``pkg/plugin/framework/backupitemaction/v2/backup_item_action_client.go``).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Final

from google.protobuf import timestamp_pb2

from velero_py_plugin._pb.velero import shared_pb2
from velero_py_plugin.plugin import kinds

ZERO_TIME_SECONDS: Final = -62_135_596_800


def selector_to_pb(selector: kinds.ResourceSelector) -> shared_pb2.ResourceSelector:
    """Encodes a selector."""
    return shared_pb2.ResourceSelector(
        includedNamespaces=selector.included_namespaces,
        excludedNamespaces=selector.excluded_namespaces,
        includedResources=selector.included_resources,
        excludedResources=selector.excluded_resources,
        selector=selector.label_selector,
    )


def selector_from_pb(message: shared_pb2.ResourceSelector) -> kinds.ResourceSelector:
    """Decodes a selector."""
    return kinds.ResourceSelector(
        included_namespaces=tuple(message.includedNamespaces),
        excluded_namespaces=tuple(message.excludedNamespaces),
        included_resources=tuple(message.includedResources),
        excluded_resources=tuple(message.excludedResources),
        label_selector=message.selector,
    )


def identifiers_to_pb(identifiers: Iterable[kinds.ResourceIdentifier]) -> list[shared_pb2.ResourceIdentifier]:
    """Encodes object names."""
    return [
        shared_pb2.ResourceIdentifier(
            group=identifier.group,
            resource=identifier.resource,
            namespace=identifier.namespace,
            name=identifier.name,
        )
        for identifier in identifiers
    ]


def identifiers_from_pb(messages: Iterable[shared_pb2.ResourceIdentifier]) -> tuple[kinds.ResourceIdentifier, ...]:
    """Decodes object names."""
    return tuple(
        kinds.ResourceIdentifier(message.group, message.resource, message.namespace, message.name)
        for message in messages
    )


def progress_to_pb(progress: kinds.OperationProgress) -> shared_pb2.OperationProgress:
    """Encodes an operation's progress."""
    return shared_pb2.OperationProgress(
        completed=progress.completed,
        err=progress.error,
        nCompleted=progress.n_completed,
        nTotal=progress.n_total,
        operationUnits=progress.operation_units,
        description=progress.description,
        started=_time_to_pb(progress.started),
        updated=_time_to_pb(progress.updated),
    )


def progress_from_pb(message: shared_pb2.OperationProgress) -> kinds.OperationProgress:
    """Decodes an operation's progress; times have microseconds and the time zone UTC."""
    return kinds.OperationProgress(
        completed=message.completed,
        error=message.err,
        n_completed=message.nCompleted,
        n_total=message.nTotal,
        operation_units=message.operationUnits,
        description=message.description,
        started=_time_from_pb(message.started),
        updated=_time_from_pb(message.updated),
    )


def _time_to_pb(time: datetime.datetime | None) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp(seconds=ZERO_TIME_SECONDS)
    if time is not None:
        message.FromDatetime(time)
    return message


def _time_from_pb(message: timestamp_pb2.Timestamp) -> datetime.datetime | None:
    if message.seconds == ZERO_TIME_SECONDS and not message.nanos:
        return None
    return message.ToDatetime(datetime.UTC)
