"""A least-recently-used cache under a byte budget whose entries are loaded once, however many ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from app.serving.metrics import CacheMetrics

K = TypeVar("K")
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Maps immutable ids to loaded objects.

    Single flight: of several threads that ask for the same absent key one loads, the others wait for its value
    or its error; errors are not kept. An entry that was evicted while in use lives on with whoever holds it. An
    object larger than the whole budget is handed out and not kept.
    """

    def __init__(self, budget_bytes: int, metrics: CacheMetrics) -> None:
        self._budget_bytes = budget_bytes
        self._metrics = metrics
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._loading: dict[K, Future[V]] = {}
        self._num_bytes = 0

    @property
    def num_bytes(self) -> int:
        """Bytes of the entries that are kept."""
        return self._num_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K, load: Callable[[], tuple[V, int]]) -> V:
        """The object of `key`; `load` returns it with its size in bytes and runs outside the lock.

        Raises: whatever `load` raises, in every thread that waited for it.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                self._metrics.hit()
                return entry[0]
            flight = self._loading.get(key)
            if flight is None:
                mine: Future[V] = Future()
                self._loading[key] = mine
        if flight is not None:
            self._metrics.hit()  # somebody else pays for the load
            return flight.result()
        self._metrics.miss()
        try:
            value, num_bytes = load()
        except BaseException as error:  # the waiters must not hang, whatever ended the load
            with self._lock:
                del self._loading[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._loading[key]
            self._keep(key, value, num_bytes)
        mine.set_result(value)
        return value

    def drop(self, key: K) -> None:
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self._num_bytes -= entry[1]
                self._metrics.resized(self._num_bytes)

    def keep_only(self, is_wanted: Callable[[K], bool]) -> None:
        """Drop the other entries."""
        with self._lock:
            for key in [key for key in self._entries if not is_wanted(key)]:
                self._num_bytes -= self._entries.pop(key)[1]
            self._metrics.resized(self._num_bytes)

    def _keep(self, key: K, value: V, num_bytes: int) -> None:
        if num_bytes > self._budget_bytes:
            self._metrics.evicted()
            return
        self._entries[key] = (value, num_bytes)
        self._num_bytes += num_bytes
        while self._num_bytes > self._budget_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self._num_bytes -= freed
            self._metrics.evicted()
        self._metrics.resized(self._num_bytes)
