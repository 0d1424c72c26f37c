"""How many movers run at once, first come first served."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Slots:
    """Slots for movers; safe to use from several threads.

    Nothing here is durable: a mover that is found running takes its slot again.

    Args:
        limit: Movers that may run at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._queue: dict[str, Callable[[], None]] = {}

    def take(self, uid: str, wake: Callable[[], None]) -> bool:
        """Takes a slot, or queues for one.

        Args:
            uid: The request.
            wake: Called when a slot has become free for a queued request, which then asks again.

        Returns:
            Whether the request has a slot now.
        """
        with self._lock:
            if uid in self._taken:
                return True
            self._queue.setdefault(uid, wake)
            if uid not in self._next():
                return False
            del self._queue[uid]
            self._taken.add(uid)
            return True

    def hold(self, uid: str) -> None:
        """Takes a slot for a mover that runs already, even above the limit."""
        with self._lock:
            self._queue.pop(uid, None)
            self._taken.add(uid)

    def give_back(self, uid: str) -> None:
        """Frees the slot, or leaves the queue."""
        with self._lock:
            self._taken.discard(uid)
            self._queue.pop(uid, None)
            wakes = [self._queue[waiting] for waiting in self._next()]
        for wake in wakes:
            wake()

    def _next(self) -> list[str]:
        """The queued requests for which there is a slot."""
        return list(self._queue)[: max(0, self._limit - len(self._taken))]
