"""Each task in a process of its own, forked from a server that has torch and the rest already imported.

Measured on a 4-core machine: a fresh interpreter needs 4 s for the imports, a forked child 30 ms.

    worker ──control socket──► server ──fork──► child
       │                          │               ▲
       ├──────── leash ───────────┘               │
       └──────── channel (JSON messages) ─────────┘

Any of the three may die at any time. Worker gone: server kills the children, and children notice by themselves
that their channel closed. Server gone: leashes close, the executor kills by closing the channel and starts a
new server with the next task. Child gone: its exit status comes over the leash.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, wait
from typing import IO

from app.executors.contract import Advanced, Execution, Failed, FinalReport, Report, TaskSpec
from app.executors.wire import NEVER_STARTED, SPAWN, STOP, decode_report
from app.threads import YIELDING
from storage.orm.base import JsonObject

_log = logging.getLogger(__name__)

# One line, because the server's own modules may only be imported after the thread counts are set: OpenMP and
# BLAS read them when they are loaded.
_BOOTSTRAP = """\
import json, os, sys
options = json.loads(sys.argv[1])
os.environ.update(options["environment"])
sys.path[:] = options["path"]
import importlib, socket
from app.executors.server import main
main(socket.socket(fileno=options["control"]), importlib.import_module(options["registry"]).JOB_KINDS)
"""

MAX_LOG_LINE = 2_000
_LEVELS = {"WARNING": logging.WARNING, "ERROR": logging.ERROR, "CRITICAL": logging.CRITICAL}
SERVER_EXIT_S = 10.0
CHILD_EXIT_S = 10.0
CHILD_FLUSH_S = 1.0  # what a child that has reported may take to write its last lines


class ForkserverExecutor:
    """Runs tasks in children of a fork server.

    `registry` is the module whose `JOB_KINDS` the children run; `num_threads` limits every pool of a child.
    """

    def __init__(self, *, num_threads: int = 1, registry: str = "app.jobs") -> None:
        self._num_threads = num_threads
        self._registry = registry
        self._lock = threading.Lock()
        self._server: subprocess.Popen[str] | None = None
        self._control: socket.socket | None = None
        self._pump: threading.Thread | None = None

    @property
    def server_pid(self) -> int | None:
        """Process id of the fork server; None when there is none."""
        return None if self._server is None else self._server.pid

    def warm_up(self) -> None:
        with self._lock:
            self._running_control()

    def start(self, spec: TaskSpec) -> Execution:
        channel, child_channel = socket.socketpair()
        leash, server_leash = socket.socketpair()
        with self._lock, child_channel, server_leash:
            descriptors = [child_channel.fileno(), server_leash.fileno()]
            try:
                socket.send_fds(self._running_control(), [SPAWN], descriptors)
            except OSError:  # the server died since the last task
                self._stop_server()
                socket.send_fds(self._running_control(), [SPAWN], descriptors)
        execution = ForkserverExecution(Connection(channel.detach()), Connection(leash.detach()))
        execution.send(spec.to_wire())
        return execution

    def close(self) -> None:
        with self._lock:
            self._stop_server()

    def _running_control(self) -> socket.socket:
        if self._server is not None and self._control is not None and self._server.poll() is None:
            return self._control
        self._stop_server()
        self._control, server_control = socket.socketpair()
        with server_control:
            self._server = subprocess.Popen(
                [sys.executable, "-c", _BOOTSTRAP, json.dumps(self._options(server_control.fileno()))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=[server_control.fileno()],
                start_new_session=True,  # signals of the worker's terminal are not for its tasks
            )
        self._pump = threading.Thread(
            target=_log_output, args=(self._server.stdout,), name="task-log", daemon=True
        )
        self._pump.start()
        return self._control

    def _options(self, control: int) -> JsonObject:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
        return {
            "environment": {**dict.fromkeys(names, str(self._num_threads)), **YIELDING},
            "path": sys.path,
            "control": control,
            "registry": self._registry,
        }

    def _stop_server(self) -> None:
        server, control, pump = self._server, self._control, self._pump
        self._server = self._control = self._pump = None
        if control is not None:
            control.close()
        if server is not None:
            server.terminate()  # ignored once it serves: then it ends its children and itself on the closed socket
            try:
                server.wait(SERVER_EXIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if pump is not None:
            pump.join(SERVER_EXIT_S)


class ForkserverExecution:
    """One child, seen from the worker."""

    def __init__(self, channel: Connection, leash: Connection) -> None:
        self._channel = channel
        self._leash = leash
        self._final: FinalReport | None = None
        self._is_killed = False
        self._is_ended = False  # the child is gone

    def send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # a child that is gone is reported by `receive`
            self._channel.send_bytes(message)

    def receive(self, timeout_s: float) -> Report | None:
        if self._final is not None:
            return self._final
        ready = wait([self._channel, self._leash], timeout_s)
        if self._channel in ready:
            with contextlib.suppress(EOFError, OSError):
                report = decode_report(self._channel.recv_bytes())
                if not isinstance(report, Advanced):
                    self._final = report
                return report
            self._final = self._died(self._exit_status(CHILD_EXIT_S))
            return self._final
        if self._leash in ready:
            # What the child sent before its end is in the channel by now: read that first.
            status = self._exit_status(0)
            while self._final is None and self._channel.poll(0):
                try:
                    report = decode_report(self._channel.recv_bytes())
                except (EOFError, OSError):
                    break
                if not isinstance(report, Advanced):
                    self._final = report
            if self._final is None:
                self._final = self._died(status)
        return self._final

    def ask_to_stop(self) -> None:
        self.send(STOP)

    def kill(self) -> None:
        self._is_killed = True
        with contextlib.suppress(OSError):
            self._leash.send_bytes(b"kill")

    def close(self) -> None:
        if self._final is not None and not self._is_killed and not self._is_ended:
            self._exit_status(CHILD_FLUSH_S)
        if not self._is_ended:
            self.kill()
            self._exit_status(CHILD_EXIT_S)
        self._channel.close()
        self._leash.close()

    def _exit_status(self, timeout_s: float) -> bytes | None:
        """What the server wrote of the child's end; None when the server itself is gone or silent."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(EOFError, OSError):
            if self._leash.poll(max(0.0, deadline - time.monotonic())):
                self._is_ended = True
                return self._leash.recv_bytes()
        return None

    def _died(self, status: bytes | None) -> Failed:
        if self._is_killed:
            return Failed({"code": "killed", "message": "The worker ended the job's process."}, retry=True)
        if status is None:
            message = "The process that starts jobs ended unexpectedly; the worker's log has its last words."
            return Failed({"code": "executor_lost", "message": message}, retry=True)
        if status == NEVER_STARTED:
            message = "The system refused a new process: it is out of memory or of processes."
            return Failed({"code": "process_not_started", "message": message}, retry=True)
        return Failed(_describe_exit(int(status)), retry=True)


def _describe_exit(status: int) -> JsonObject:
    """An exit nobody asked for, as an error: `status` is the exit code, or minus the signal's number."""
    if status >= 0:
        message = f"The job's process ended with exit code {status} before it had a result."
        return {"code": "process_exited", "message": message, "details": {"exit_code": status}}
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if -status == signal.SIGKILL:
        message = (
            "The job's process was ended by SIGKILL, which the worker did not send: most often the system was out of "
            "memory. Give the worker more, or use a smaller table."
        )
        return {"code": "process_killed", "message": message, "details": {"signal": name}}
    message = f"The job's process was ended by {name}."
    return {"code": "process_crashed", "message": message, "details": {"signal": name}}


def _log_output(stream: IO[str] | None) -> None:
    """Relay what the server and its children print (their own log, and libraries) to the worker's log.

    A line of their log keeps its level, and so do the indented ones of a stack that follow it.
    """
    if stream is None:
        return
    level = logging.INFO
    with stream:
        for line in stream:
            if not line.startswith(" "):
                level = _LEVELS.get(line.split(" ", 1)[0], logging.INFO)
            _log.log(level, "%s", line.rstrip()[:MAX_LOG_LINE])
