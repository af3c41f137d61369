"""The fork server: a process with the heavy imports done, which forks one child per task.

It is started by `forkserver.ForkserverExecutor` with a script of one line, so that its `__main__` is nobody's
program: what started the worker (console script, `python -m`, pytest, a notebook) is never run again. It
stays single-threaded apart from the libraries' own housekeeping threads: no OpenMP, BLAS or polars pool may
exist before a fork, because the child would wait for threads it does not have.

Per task the executor sends two sockets over the control socket: the task's channel, handed on to the child,
and its leash. The server writes the exit status to the leash when the child has ended, and kills the child
when it reads anything from the leash or finds it closed. When the control socket closes, all children go.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import NoReturn

from app.executors.child import run_child
from app.executors.wire import NEVER_STARTED, SPAWN
from app.jobs import JobKind

EXIT_BROKEN = 71

# Imported before the first fork, not during it: a child starts in milliseconds instead of seconds.
PRELOADED = (
    "lightgbm",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.stats",
    "safetensors.torch",
    "polars",
    "torch",
    "treelite",
)


class ForkServer:
    """The loop of the server process; `kinds` are the job kinds its children can run."""

    def __init__(self, control: socket.socket, kinds: Mapping[str, JobKind]) -> None:
        self._control = control
        self._kinds = kinds
        self._leashes: dict[int, Connection] = {}  # by process id
        self._killed: set[int] = set()

    def serve(self) -> None:
        """Serve until the control socket closes; then kill what is left and return."""
        # The worker decides when tasks end. A Ctrl-C in its terminal or a SIGTERM to its whole control group
        # must not take the children away while it asks them for a checkpoint.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        woken, wakes = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        gc.collect()
        gc.freeze()  # pages of imported modules stay shared with the children
        while True:
            # A killed child's leash may stay readable until it is reaped: watching it would spin.
            leashes = {leash.fileno(): pid for pid, leash in self._leashes.items() if pid not in self._killed}
            watched = [self._control.fileno(), woken, *leashes]
            readable, _, _ = select.select(watched, [], [])
            if woken in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                self._reap()
            for descriptor in readable:
                if descriptor in leashes:
                    self._kill(leashes[descriptor])
            if watched[0] in readable and not self._spawn(woken, wakes):
                break
        for pid in list(self._leashes):
            self._kill(pid)

    def _spawn(self, *own: int) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, len(SPAWN), 2)
        if not data or len(descriptors) != 2:
            return False
        channel, leash = (Connection(descriptor) for descriptor in descriptors)
        try:
            pid = os.fork()
        except OSError:
            leash.send_bytes(NEVER_STARTED)
            leash.close()
        else:
            if pid == 0:
                self._become_child(channel, leash, own)
            self._leashes[pid] = leash
        channel.close()
        return True

    def _become_child(self, channel: Connection, leash: Connection, own: tuple[int, ...]) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A copy of the control socket or of another task's leash here would keep it open after the server's end.
        self._control.close()
        for connection in (leash, *self._leashes.values()):
            connection.close()
        for descriptor in own:
            os.close(descriptor)
        try:
            run_child(channel, self._kinds)
        finally:
            os._exit(EXIT_BROKEN)  # whatever happens, a child never returns into the server's loop

    def _reap(self) -> None:
        while self._leashes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            leash = self._leashes.pop(pid, None)
            self._killed.discard(pid)
            if leash is not None:
                with contextlib.suppress(OSError):  # the executor has lost interest
                    leash.send_bytes(str(os.waitstatus_to_exitcode(status)).encode())
                leash.close()

    def _kill(self, pid: int) -> None:
        """Kill a child that has not been reaped, so that its id is still its own."""
        if pid in self._leashes:
            self._killed.add(pid)
            os.kill(pid, signal.SIGKILL)


def main(control: socket.socket, kinds: Mapping[str, JobKind]) -> None:
    """Import what tasks need, then serve."""
    for module in PRELOADED:
        __import__(module)
    ForkServer(control, kinds).serve()
