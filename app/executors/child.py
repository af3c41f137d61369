"""A task's own process: what happens between the fork and `os._exit`.

The process and the worker share one socket: the worker sends the task, then perhaps `STOP`; the process sends
reports. The socket closes when the worker dies, by whatever signal, and the process then ends itself at once:
the lease runs out and another worker takes the job from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection

import torch

from app.executors.contract import FinalReport, Report, TaskSpec
from app.executors.running import run_task
from app.executors.wire import STOP, encode_report
from app.jobs import JobKind

EXIT_DONE = 0
EXIT_ORPHANED = 70  # nobody is left to report to


def run_child(channel: Connection, kinds: Mapping[str, JobKind]) -> None:
    """Receive a task over `channel`, run it, report, exit; never returns."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    sending = threading.Lock()
    try:
        spec = TaskSpec.model_validate_json(channel.recv_bytes())
        threading.Thread(target=_watch, args=(channel, stop), name="watch-worker", daemon=True).start()
        _limit(spec)

        def send(report: Report) -> None:
            with sending:
                channel.send_bytes(encode_report(report))

        final: FinalReport = run_task(spec, kinds, send, stop.is_set)
        send(final)
    except (EOFError, OSError):
        _exit(EXIT_ORPHANED)
    _exit(EXIT_DONE)


def _limit(spec: TaskSpec) -> None:
    """Keep to the worker's share of the machine; pools of other libraries took theirs from the environment."""
    if spec.niceness:
        os.nice(spec.niceness)
    torch.set_num_threads(spec.num_threads)


def _watch(channel: Connection, stop: threading.Event) -> None:
    while True:
        try:
            message = channel.recv_bytes()
        except (EOFError, OSError):
            _exit(EXIT_ORPHANED)
        if message == STOP:
            stop.set()


def _exit(status: int) -> None:
    # Not sys.exit: atexit handlers and buffers belong to the server this process was forked from.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
