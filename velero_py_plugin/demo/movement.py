"""Follows one DataUpload or DataDownload while it is fulfilled."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from velero_py_plugin import errors
from velero_py_plugin.api.phase import phase_of
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.kube.client import KubeClient


class Movement:
    """Watches the objects of one type and keeps what the demo shows of the one that appears.

    Args:
        kube: The cluster.
        resource: DATA_UPLOAD or DATA_DOWNLOAD.
        namespace: Velero's namespace.

    Attributes:
        phases: Phases seen, each with the seconds since the first one.
        last: The object as last seen.
    """

    def __init__(self, kube: KubeClient, resource: ResourceType, namespace: str) -> None:
        self._kube, self._resource, self._namespace = kube, resource, namespace
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="movement", daemon=True)
        self._began = 0.0
        self.phases: list[tuple[str, float]] = []
        self.last: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5.0)

    def bytes_done(self) -> tuple[int, int]:
        """Bytes done and bytes altogether, as the object's status has them."""
        progress = (self.last.get("status") or {}).get("progress") or {}
        return int(progress.get("bytesDone", 0)), int(progress.get("totalBytes", 0))

    def seconds_in_progress(self) -> float:
        """From InProgress to the end."""
        times = dict(self.phases)
        return max((seconds for _, seconds in self.phases), default=0.0) - times.get("InProgress", 0.0)

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                for event in self._kube.watch(self._resource, self._namespace, timeout_seconds=30):
                    self._see(event.object)
                    if phase_of(event.object).terminal or self._ended.is_set():
                        return
            except errors.TemporaryError:
                continue  # a broken watch is watched again

    def _see(self, resource: dict[str, Any]) -> None:
        now = time.monotonic()
        self._began = self._began or now
        self.last = resource
        phase = str(phase_of(resource))
        if not self.phases or self.phases[-1][0] != phase:
            self.phases.append((phase, now - self._began))
