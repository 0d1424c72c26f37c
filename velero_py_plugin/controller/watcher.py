"""Follows all objects of one type, for ever.

Each round asks the API server for every object and then for the changes, and ends after the resync interval: so a
change that was missed for whatever reason is found in the next round, and no resourceVersion can become too old.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from velero_py_plugin import errors
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube.client import KubeClient

logger = logging.getLogger(__name__)

_LONGEST_DELAY: Final = 60.0


def watch(
    client: KubeClient,
    resource: ResourceType,
    namespace: str,
    on_object: Callable[[dict[str, Any]], None],
    *,
    stop: threading.Event,
    resync_interval: int,
    error_delay: float,
) -> None:
    """Calls back for every object, again for every change, and for all of them once per round.

    Args:
        client: The API server.
        resource: The type.
        namespace: Where to look.
        on_object: Called with each object seen, deleted ones included.
        stop: Ends the watch at its next event, or at the end of the round.
        resync_interval: Seconds per round.
        error_delay: Seconds before the second try after an error; doubled for each further one, up to a minute.
    """
    delay = error_delay
    while not stop.is_set():
        began = time.monotonic()
        try:
            for event in client.watch(resource, namespace, timeout_seconds=resync_interval):
                if stop.is_set():
                    return
                try:
                    on_object(event.object)
                except Exception:
                    # An object nobody can make sense of must not keep those after it from being seen.
                    logger.exception("Watching %s: %s", resource.group_resource, event.object.get("metadata"))
                delay = error_delay
            if time.monotonic() - began < error_delay:
                stop.wait(error_delay)  # a server that hangs up at once must not be asked again without a pause
        except errors.Error as error:
            if stop.is_set():
                return
            logger.warning("Watching %s: %s: %s", resource.group_resource, error.reason, error)
            stop.wait(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
