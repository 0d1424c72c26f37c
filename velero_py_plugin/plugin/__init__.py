"""Velero's plugin protocol: author classes in, go-plugin process out.

A plugin is a program that Velero starts, made of actions::

    from velero_py_plugin import plugin

    class Annotate(plugin.BackupItemActionV2):
        def applies_to(self) -> plugin.ResourceSelector:
            return plugin.ResourceSelector(included_resources=("configmaps",))

        def execute(self, request: plugin.BackupItemActionRequest) -> plugin.BackupItemActionResult:
            request.item["metadata"].setdefault("annotations", {})["example.io/seen"] = "yes"
            return plugin.BackupItemActionResult(request.item)

    plugin.serve({"example.io/annotate": Annotate})

Importing this package loads no gRPC; ``serve`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from velero_py_plugin.plugin.kinds import (
    AsyncOperationsNotSupportedError,
    BackupItemActionRequest,
    BackupItemActionResult,
    BackupItemActionV2,
    InvalidOperationIDError,
    OperationProgress,
    ResourceIdentifier,
    ResourceSelector,
    RestoreItemActionRequest,
    RestoreItemActionResult,
    RestoreItemActionV2,
)

__all__ = [
    "AsyncOperationsNotSupportedError",
    "BackupItemActionRequest",
    "BackupItemActionResult",
    "BackupItemActionV2",
    "InvalidOperationIDError",
    "OperationProgress",
    "ResourceIdentifier",
    "ResourceSelector",
    "RestoreItemActionRequest",
    "RestoreItemActionResult",
    "RestoreItemActionV2",
    "serve",
]


def serve(actions: Mapping[str, Callable[[], Any]], *, argv: Sequence[str] | None = None) -> None:
    """Serves actions to the Velero server that started this process, until it wants the process to end.

    To be called once, from the main thread, as the last thing a plugin's program does: the process ends in here, with
    status 0 when Velero asked for it. From the call on, nothing printed reaches Velero's pipes unseen: log records of
    the ``logging`` module, uncaught exceptions and printed lines all become lines of Velero's log. A subprocess that an
    action starts must not outlive the call.

    Args:
        actions: Full names, such as ``example.io/annotate``, and for each a subclass of a kind, or a
            ``functools.partial`` of one. Velero runs the actions of one kind in this order. An action is made when it
            is first called.
        argv: The command line, beginning with the path Velero executed; ``sys.argv`` when None.

    Raises:
        SystemExit: Status 1, because the program was not started by Velero.
        InvalidActionError: A name breaks Velero's rules, or a value is not an action.
        SocketPathTooLongError: The temporary directory's name leaves no room for a socket.
    """
    from velero_py_plugin.plugin import server  # noqa: PLC0415 - gRPC takes 80 ms, and actions must import without it

    server.serve(actions, argv=argv)
