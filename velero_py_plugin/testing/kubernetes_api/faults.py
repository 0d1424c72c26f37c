"""One-off faults a test asks for, seen by clients over the wire."""

from __future__ import annotations

import dataclasses
import re
import threading


@dataclasses.dataclass
class Fault:
    """What happens to the next matching requests.

    Attributes:
        method: HTTP method; ``WATCH`` for a watch.
        path: Pattern found in the path.
        count: How many requests are still hit.
        status: Code of the answer; 0 where the connection breaks instead.
        retry_after: Value of the ``Retry-After`` header, if any.
        processed: Whether the request is carried out before the connection breaks.
    """

    method: str
    path: re.Pattern[str]
    count: int
    status: int = 0
    retry_after: int | None = None
    processed: bool = False


class Faults:
    """The faults that are still to happen; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Arms a fault."""
        with self._lock:
            self._faults.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits a request, counted down."""
        with self._lock:
            for fault in self._faults:
                if fault.method == method and fault.path.search(path):
                    fault.count -= 1
                    if fault.count <= 0:
                        self._faults.remove(fault)
                    return fault
        return None
