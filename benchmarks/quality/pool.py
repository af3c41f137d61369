"""Trials in parallel processes that may crash, hang or be killed without taking the run with them."""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.quality.specification import Request
from benchmarks.quality.worker import ROOT, answer

Record = dict[str, Any]
START_S = 300.0  # imports of a busy machine
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS",
)  # fmt: skip


class WorkerLost(Exception):
    """The process ended, or took longer than it may, in the middle of a trial."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WorkerProcess:
    """One `benchmarks.quality.worker`, started when first needed."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, request: Request, limit_s: float) -> Record:
        """Raises: WorkerLost, or RuntimeError where no process can be started."""
        process = self._started(request.setting.threads)
        assert process.stdin is not None
        try:
            process.stdin.write(request.model_dump_json().encode() + b"\n")
            process.stdin.flush()
            line = self._line(process, time.monotonic() + limit_s)
        except (OSError, WorkerLost) as error:
            self.close()
            raise error if isinstance(error, WorkerLost) else WorkerLost("crashed") from error
        found: Record = json.loads(line)
        return found

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with (
                suppress(OSError),
                process,
            ):  # waits, and closes both pipes, one of which may hold words for the dead
                pass

    def _started(self, threads: int) -> subprocess.Popen[bytes]:
        if self._process is None:
            limits = dict.fromkeys(_THREAD_VARIABLES, str(threads))
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.quality.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=ROOT,
                    # Threads of a waiting pool that spin take the core from those that work.
                    env=os.environ | limits | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"},
                    start_new_session=True,  # an interrupt of the run is the parent's business
                )
            try:
                self._line(self._process, time.monotonic() + START_S)
            except WorkerLost as lost:
                raise RuntimeError(f"a process for trials could not be started; see {self._log}") from lost
        return self._process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert process.stdout is not None
        found = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not found.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise WorkerLost("took_too_long")
                piece = os.read(process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise WorkerLost("crashed")
                found += piece
        return found


def run_all(
    requests: Sequence[Request], *, jobs: int, limit_s: float, logs: Path
) -> Iterator[tuple[Request, Record]]:
    """Requests with their records as they end, begun in order; in this very process where `jobs` is 0.

    A trial whose process crashed or was too slow has the record `{"error": …}`, and another process goes on. Whoever
    leaves the loop ends the processes.

    Raises:
        RuntimeError: no process could be started.
    """
    if jobs == 0:
        yield from ((request, answer(request)) for request in requests)
        return
    todo: queue.SimpleQueue[Request] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Request, Record] | Exception] = queue.SimpleQueue()
    for request in requests:
        todo.put(request)
    stopped = threading.Event()
    workers = [WorkerProcess(logs / f"worker-{number}.log") for number in range(min(jobs, len(requests)))]
    threads = [
        threading.Thread(target=_work, args=(worker, todo, done, stopped, limit_s), daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in requests:
            finished = done.get()
            if isinstance(finished, Exception):
                raise finished
            yield finished
    finally:
        stopped.set()
        for worker in workers:
            worker.close()


def _work(
    worker: WorkerProcess,
    todo: queue.SimpleQueue[Request],
    done: queue.SimpleQueue[tuple[Request, Record] | Exception],
    stopped: threading.Event,
    limit_s: float,
) -> None:
    while not stopped.is_set():
        try:
            request = todo.get_nowait()
        except queue.Empty:
            return
        started = time.monotonic()
        try:
            record = worker.run(request, limit_s)
        except WorkerLost as lost:
            seconds = round(time.monotonic() - started, 3)
            record = {"error": {"type": lost.reason, "at": ""}, "seconds": {"until_error": seconds}}
        except (
            Exception
        ) as error:  # the thread's edge: nobody else would hear of it, and the run would wait for ever
            done.put(error)
            return
        if not stopped.is_set():
            done.put((request, record))
