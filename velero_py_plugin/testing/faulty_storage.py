"""Stores that fail on purpose: errors, damaged bytes, and the death of the process at a chosen write."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Literal, NoReturn

from velero_py_plugin.kopia.blob.storage import BlobMetadata, Storage

Method = Literal["get", "put", "delete", "metadata", "list"]


@dataclasses.dataclass
class _Fault:
    method: Method
    prefix: str
    skip: int
    remaining: int
    error: Exception | None = None
    late: bool = False
    damage: Callable[[bytes], bytes] | None = None


class FaultyStorage:
    """Passes calls on to another store, and lets chosen ones fail.

    Faults are counted over the calls of their method whose blob name starts with their prefix.

    Args:
        inner: The store that does the work.

    Attributes:
        calls: Every call so far, as pairs of the method and the blob name or prefix, in order.
    """

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self.calls: list[tuple[str, str]] = []

    def fail(
        self,
        method: Method,
        error: Exception,
        *,
        nth: int = 1,
        times: int = 1,
        prefix: str = "",
        after_the_call: bool = False,
    ) -> None:
        """Raises ``error`` at the ``nth`` call from now and at the ``times - 1`` calls that follow.

        Args:
            method: Which calls.
            error: What they raise.
            nth: The first call to fail, from 1.
            times: How many calls fail.
            prefix: Only calls for blobs whose names start like this count.
            after_the_call: Carry the call out first, as when only the answer of a store is lost.
        """
        with self._lock:
            self._faults.append(_Fault(method, prefix, nth - 1, times, error=error, late=after_the_call))

    def shorten(self, *, by: int = 1, nth: int = 1, times: int = 1, prefix: str = "") -> None:
        """Lets ``get`` return ``by`` bytes too few."""
        self._damage(lambda data: data[: max(len(data) - by, 0)], nth, times, prefix)

    def flip(self, *, offset: int, nth: int = 1, times: int = 1, prefix: str = "") -> None:
        """Lets ``get`` return bytes of which one is wrong, at ``offset`` from the start or, negative, from the end."""

        def flip(data: bytes) -> bytes:
            damaged = bytearray(data)
            damaged[offset] ^= 0x40
            return bytes(damaged)

        self._damage(flip, nth, times, prefix)

    def _damage(self, damage: Callable[[bytes], bytes], nth: int, times: int, prefix: str) -> None:
        with self._lock:
            self._faults.append(_Fault("get", prefix, nth - 1, times, damage=damage))

    @property
    def display_name(self) -> str:
        """The inner store in words."""
        return self._inner.display_name

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """Reads through; see ``Storage.get``."""
        fault = self._enter("get", blob_id)
        data = self._inner.get(blob_id, offset, length)
        self._leave(fault)
        return fault.damage(data) if fault is not None and fault.damage is not None else data

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """Writes through; see ``Storage.put``."""
        fault = self._enter("put", blob_id)
        self._inner.put(blob_id, data)
        self._leave(fault)

    def delete(self, blob_id: str) -> None:
        """Deletes in the inner store."""
        fault = self._enter("delete", blob_id)
        self._inner.delete(blob_id)
        self._leave(fault)

    def metadata(self, blob_id: str) -> BlobMetadata:
        """Looks up in the inner store."""
        fault = self._enter("metadata", blob_id)
        found = self._inner.metadata(blob_id)
        self._leave(fault)
        return found

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        """Lists the inner store; a fault after the call comes when the listing ends."""
        fault = self._enter("list", prefix)
        yield from self._inner.list(prefix)
        self._leave(fault)

    def close(self) -> None:
        """Closes the inner store."""
        self._inner.close()

    def _enter(self, method: Method, name: str) -> _Fault | None:
        """Records a call, and returns the fault that applies to it, or raises its error."""
        applying: _Fault | None = None
        with self._lock:
            self.calls.append((method, name))
            for fault in self._faults:
                if fault.method != method or not name.startswith(fault.prefix):
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.remaining and applying is None:
                    fault.remaining -= 1
                    applying = fault
        if applying is not None and applying.error is not None and not applying.late:
            raise applying.error
        return applying

    @staticmethod
    def _leave(fault: _Fault | None) -> None:
        if fault is not None and fault.error is not None:
            raise fault.error


class KillingStorage:
    """Passes calls on to another store, and kills this process at a chosen one that changes the store.

    Only for a process that a test starts and whose death it waits for. Nothing of it runs afterwards: no ``finally``,
    no exit handler. Create it in the main thread.

    Args:
        inner: The store that does the work.
        nth: The put or delete at which the process dies, from 1.
        moment: ``before`` the call, ``after`` it, or ``within`` it: while a store that writes files has written half of
            the blob. A call that writes no file is survived and the process dies after it.
    """

    def __init__(self, inner: Storage, *, nth: int, moment: Literal["before", "within", "after"]) -> None:
        self._inner = inner
        self._remaining = nth
        self._moment = moment
        self._lock = threading.Lock()
        if moment == "within":
            # Python ignores the signal of a file that becomes too large unless told otherwise.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    @property
    def display_name(self) -> str:
        """The inner store in words."""
        return self._inner.display_name

    def get(self, blob_id: str, offset: int = 0, length: int = -1) -> bytes:
        """Reads through; see ``Storage.get``."""
        return self._inner.get(blob_id, offset, length)

    def put(self, blob_id: str, data: bytes | bytearray | memoryview) -> None:
        """Writes through, or dies."""
        with self._lock:
            last = self._enter(memoryview(data).nbytes)
            self._inner.put(blob_id, data)
            if last:
                _die()

    def delete(self, blob_id: str) -> None:
        """Deletes in the inner store, or dies."""
        with self._lock:
            last = self._enter(0)
            self._inner.delete(blob_id)
            if last:
                _die()

    def metadata(self, blob_id: str) -> BlobMetadata:
        """Looks up in the inner store."""
        return self._inner.metadata(blob_id)

    def list(self, prefix: str = "") -> Iterator[BlobMetadata]:
        """Lists the inner store."""
        return self._inner.list(prefix)

    def close(self) -> None:
        """Closes the inner store."""
        self._inner.close()

    def _enter(self, size: int) -> bool:
        self._remaining -= 1
        if self._remaining:
            return False
        if self._moment == "before":
            _die()
        if self._moment == "within" and size > 1:
            # The kernel takes the first half of the file and answers the rest with a deadly signal: the death comes
            # from inside the store's own write, whatever its code looks like.
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        return True


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process cannot survive SIGKILL")
