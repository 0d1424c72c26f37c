"""Keys of objects to look at, worked off by threads: each key by one thread at a time, and as often as needed.

The same idea as client-go's work queue (kubernetes v1.34.2 ``client-go/util/workqueue``): what is queued is a name,
never an object or an event, so any number of changes to one object cost one look at its newest state.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from velero_py_plugin import errors

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
_LONGEST_DELAY: Final = 60.0
_LONGEST_GOODBYE: Final = 10.0


class WorkQueue(Generic[K]):
    """A queue and the threads that work it off.

    Args:
        name: For thread names and log lines.
        workers: Threads.
        error_delay: Seconds before the second try after an error; doubled for each further one, up to a minute.
    """

    def __init__(self, name: str, *, workers: int, error_delay: float) -> None:
        self._name = name
        self._error_delay = error_delay
        self._changed = threading.Condition()
        self._stopped = False
        self._order = itertools.count()
        self._heap: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}
        self._workers = workers
        self._threads: list[threading.Thread] = []

    def start(self, reconcile: Callable[[K], float | None]) -> None:
        """Starts the threads.

        Args:
            reconcile: Looks at one key; returns after how many seconds to look again, or ``None`` for not until it is
                added again.
        """
        for number in range(self._workers):
            thread = threading.Thread(target=self._work, args=(reconcile,), name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def add(self, key: K, delay: float = 0.0) -> None:
        """Asks for a look at a key, at once or after ``delay`` seconds; an earlier appointment stays."""
        with self._changed:
            due = time.monotonic() + delay
            if due < self._due.get(key, float("inf")):
                self._due[key] = due
                heapq.heappush(self._heap, (due, next(self._order), key))
                self._changed.notify()

    def stop(self) -> None:
        """Ends the threads after what they are doing; whatever is still queued is dropped.

        A thread that does not come back within ten seconds in all is left behind; it dies with the process.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        deadline = time.monotonic() + _LONGEST_GOODBYE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, reconcile: Callable[[K], float | None]) -> None:
        while (key := self._next()) is not None:
            delay = self._look(reconcile, key)
            with self._changed:
                self._running.discard(key)
                # What was added meanwhile stands; a worker that passed over it because the key was busy must wake up.
                self._changed.notify()
            if delay is not None:
                self.add(key, delay)

    def _next(self) -> K | None:
        """Waits for the next key that is due and not being looked at; ``None`` when the queue is stopped."""
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                busy = []
                found: K | None = None
                while self._heap and self._heap[0][0] <= now and found is None:
                    entry = heapq.heappop(self._heap)
                    if self._due.get(entry[2]) != entry[0]:
                        continue  # overtaken by an earlier appointment
                    if entry[2] in self._running:
                        busy.append(entry)
                    else:
                        found = entry[2]
                for entry in busy:
                    heapq.heappush(self._heap, entry)
                if found is not None:
                    del self._due[found]
                    self._running.add(found)
                    return found
                later = [due for due, _, key in self._heap if key not in self._running]
                self._changed.wait(max(0.0, min(later) - now) if later else None)
            return None

    def _look(self, reconcile: Callable[[K], float | None], key: K) -> float | None:
        try:
            delay = reconcile(key)
        except errors.Error as error:
            logger.warning("%s %s: %s: %s", self._name, key, error.reason, error)
        except Exception:
            # A defect must neither end the thread nor hide: the object is looked at again, and the log has the trace.
            logger.exception("%s %s: unexpected error", self._name, key)
        else:
            self._failures.pop(key, None)
            return delay
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(self._error_delay * 2 ** min(failures - 1, 16), _LONGEST_DELAY))
