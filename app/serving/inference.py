"""The inference lane: threads that do nothing but torch, behind a bounded queue.

Torch keeps the number of intra-operation threads per calling thread (checked with torch 2.13: a thread that sets
it changes itself and threads that have not used torch yet, never the others), so the lane sets it once in each
of its threads and no request thread ever computes. That keeps the event loop and other requests responsive,
bounds memory to what the lane works on, and makes one machine give one answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from queue import Empty, Full, Queue
from typing import Any, TypeVar

import torch

from app.serving.errors import Overloaded
from app.serving.metrics import ServingMetrics

T = TypeVar("T")

_STOPPING = "the service is shutting down; send the request again"

_Task = tuple["Future[Any]", Callable[[], Any], float]


class InferenceLane:
    """Runs closures in order of arrival; refuses rather than lets a queue grow.

    Shape of the load: one lane thread computes at a time on `num_threads` cores; `num_lanes` more than one only
    pays where requests are so small that Python dominates and the interpreter has no global lock.
    """

    def __init__(
        self,
        *,
        num_threads: int,
        metrics: ServingMetrics,
        num_lanes: int = 1,
        max_waiting: int = 64,
        max_wait_s: float = 30.0,
    ) -> None:
        self._num_threads = num_threads
        self._num_lanes = num_lanes
        self._max_wait_s = max_wait_s
        self._metrics = metrics
        self._queue: Queue[_Task | None] = Queue(maxsize=max_waiting)
        self._threads: list[threading.Thread] = []
        self._state_lock = threading.Lock()
        self._stopped = False
        metrics.watch_queue(self._queue.qsize)

    def start(self) -> None:
        """Start the threads, also after a stop; starting twice changes nothing."""
        with self._state_lock:
            self._stopped = False
            if self._threads:
                return
            for lane in range(self._num_lanes):
                thread = threading.Thread(target=self._serve, name=f"inference-{lane}", daemon=True)
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """Finish what is queued, then end the threads; later work is refused."""
        with self._state_lock:
            self._stopped = True
            threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join()
        self._refuse_leftovers()

    def _refuse_leftovers(self) -> None:
        """Answer work that slipped into the queue while the lane was stopping."""
        while True:
            try:
                task = self._queue.get_nowait()
            except Empty:
                return
            if task is not None and task[0].set_running_or_notify_cancel():
                task[0].set_exception(Overloaded(_STOPPING))

    def run(self, work: Callable[[], T]) -> T:
        """Compute `work` in the lane and wait for it.

        Raises: Overloaded when the queue is full, or when the result was not there within `max_wait_s`;
        whatever `work` raises.
        """
        if self._stopped:
            raise Overloaded(_STOPPING)
        if not self._threads:
            self.start()
        future: Future[T] = Future()
        try:
            self._queue.put_nowait((future, work, time.perf_counter()))
        except Full:
            self._metrics.overloaded.inc()
            raise Overloaded(
                f"{self._queue.maxsize} prediction requests are already waiting; send the request again later"
            ) from None
        try:
            return future.result(timeout=self._max_wait_s)
        except FutureTimeoutError:
            if future.done():  # `work` itself timed out on something
                raise
            future.cancel()
            self._metrics.overloaded.inc()
            raise Overloaded(
                f"no answer within {self._max_wait_s:g} s; send the request again later, or with fewer rows"
            ) from None

    def _serve(self) -> None:
        torch.set_num_threads(self._num_threads)
        with torch.inference_mode():
            while (task := self._queue.get()) is not None:
                future, work, queued_at = task
                if not future.set_running_or_notify_cancel():
                    continue
                self._metrics.waiting_seconds.observe(time.perf_counter() - queued_at)
                try:
                    result = work()
                except BaseException as error:  # the lane must outlive any request; the caller gets the error
                    future.set_exception(error)
                else:
                    future.set_result(result)
                del task, future, work  # an idle lane must not keep the last request's rows alive
