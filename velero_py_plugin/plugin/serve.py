"""Assembles a plugin process from its actions."""

from __future__ import annotations

import faulthandler
import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from velero_py_plugin.plugin import flags
from velero_py_plugin.plugin.goplugin.handshake import cookie_matches
from velero_py_plugin.plugin.goplugin.output import OutputGuard
from velero_py_plugin.plugin.goplugin.process import StopQueue, run, stop_on_signals
from velero_py_plugin.plugin.log import LogStream, send_everything_to
from velero_py_plugin.plugin.registry import Registry
from velero_py_plugin.plugin.servicers.backup_item_action_v2 import backup_item_action_v2_handler
from velero_py_plugin.plugin.servicers.plugin_lister import plugin_lister_handler
from velero_py_plugin.plugin.servicers.restore_item_action_v2 import restore_item_action_v2_handler

COOKIE: Final = ("VELERO_PLUGIN", "hello")
PROTOCOL_VERSION: Final = 2
"""Both from velero v1.18.1 ``pkg/plugin/framework/handshake.go``."""

logger = logging.getLogger(__name__)


def serve(actions: Mapping[str, Callable[[], Any]], *, argv: Sequence[str] | None = None) -> None:
    """Serves actions to the Velero server that started this process, until it wants the process to end.

    To be called once, from the main thread, as the last thing a plugin's program does: the process ends in here, with
    status 0 when Velero asked for it. From the call on, everything this process says becomes lines of Velero's log:
    records of the ``logging`` module, uncaught exceptions, Python's warnings, and whatever is printed, by subprocesses
    as well. A subprocess that an action starts must not outlive the call that started it.

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
    parent = os.getppid()
    command, *arguments = sys.argv if argv is None else argv
    if not cookie_matches(os.environ, *COOKIE):
        sys.exit(
            f"{command} is a Velero plugin and does nothing when a person runs it: Velero's server starts it, once "
            f"`velero plugin add` has put it into its plugin directory."
        )
    settings = flags.parse_flags(arguments)
    guard = OutputGuard()
    log_stream = LogStream(guard.log_fd)
    guard.forward(functools.partial(_log_output, log_stream))
    send_everything_to(log_stream, settings.log_level)
    faulthandler.enable(guard.log_fd)
    registry = Registry(actions)
    # Velero starts this very string for every later use: the path as Velero spelled it, links and all.
    command = os.path.abspath(command)
    logger.debug("serving %s with features %s", command, settings.features)
    stop = StopQueue()
    with stop_on_signals(stop.put):
        reason = run(
            (
                plugin_lister_handler(registry, command),
                backup_item_action_v2_handler(registry),
                restore_item_action_v2_handler(registry),
            ),
            protocol_version=PROTOCOL_VERSION,
            announce=guard.announce,
            stop=stop,
            parent=parent,
        )
        logger.debug("stopping: %s", reason)
        guard.restore()
        os._exit(0)  # threads of abandoned calls would keep the interpreter until Velero kills it


def _log_output(stream: LogStream, line: str) -> None:
    """Shows what somebody printed. Not through ``logging``, whose locks the printing thread may hold."""
    stream.write("info", line, "output", {})
