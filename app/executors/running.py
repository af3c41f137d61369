"""Run one task to its end, in whatever process: the edge where every exception becomes a report."""

from __future__ import annotations

import errno
import logging
import os
import resource
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Mapping

from app.executors.contract import Advanced, Failed, FinalReport, Stopped, Succeeded, TaskSpec
from app.jobs import JobKind, Task
from app.jobs.recording import RecordingStore
from models.errors import InputError, Interrupted, RootstockModelError
from models.progress import Progress, ShouldStop
from storage.engine import Database
from storage.errors import Conflict, NotFound, StorageError
from storage.orm.base import JsonObject

_log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 0.05
"""Steps closer together are not reported: a training step may take less than sending one."""

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DISK_FULL_CODES = frozenset({"disk_full", "storage_full"})
_SYSTEM_SAYS_FULL = os.strerror(errno.ENOSPC)  # polars and safetensors raise errors of their own with this
_TORCH_ALLOCATION_FAILURE = (
    "can't allocate memory"  # c10's CPU allocator raises a plain RuntimeError with this
)


def run_task(
    spec: TaskSpec,
    kinds: Mapping[str, JobKind],
    emit: Callable[[Advanced], None],
    should_stop: ShouldStop,
) -> FinalReport:
    """Run `spec` with its job kind; never raises (short of the process being ended)."""
    started_at = time.monotonic()
    try:
        result = _run(spec, kinds, throttled(emit), should_stop)
        return Succeeded(result, measured(time.monotonic() - started_at))
    except Interrupted:
        return Stopped()
    except InputError as error:
        return Failed(_described(error.code, error.message, dict(error.details)), retry=False)
    except (NotFound, Conflict) as error:  # what the job was for is gone: deleted while the job waited
        return Failed(_described(error.code, error.message, dict(error.details)), retry=False)
    except (KeyboardInterrupt, SystemExit):
        raise
    # Broad on purpose: this is the edge. A job ends with a report, never with a silent death of its process; a panic of
    # a library in Rust (polars) is no `Exception`.
    except BaseException as error:
        described = report_unexpected(error, spec.job_id)
        # Trying again at once finds the same full disk, and fills what somebody is clearing.
        return Failed(described, retry=described["code"] not in DISK_FULL_CODES)


def _run(
    spec: TaskSpec, kinds: Mapping[str, JobKind], progress: Progress, should_stop: ShouldStop
) -> JsonObject:
    spec.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database.open(spec.database_url)
    store = RecordingStore(spec.artifacts.build(), spec.scratch)
    try:
        task = Task(
            job_id=spec.job_id,
            workspace_id=spec.workspace_id,
            payload=spec.payload,
            attempt=spec.attempt,
            fence=spec.fence,
            database=database,
            store=store,
            scratch=spec.scratch,
            num_threads=spec.num_threads,
            progress=progress,
            should_stop=should_stop,
            device=spec.device,
        )
        return kinds[spec.kind].run(task)
    finally:
        store.close()
        database.dispose()


def measured(seconds: float) -> JsonObject:
    """What this attempt took; the peak is of the whole process, which a forked child has for itself."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak * (1 if sys.platform == "darwin" else 1024),
    }


def throttled(emit: Callable[[Advanced], None]) -> Progress:
    """A progress callback that reports at most every `PROGRESS_INTERVAL_S` seconds."""
    last_sent = float("-inf")

    def progress(step: int, total: int, message: str) -> None:
        nonlocal last_sent
        now = time.monotonic()
        if now - last_sent >= PROGRESS_INTERVAL_S:
            last_sent = now
            emit(Advanced(step, total, message))

    return progress


def report_unexpected(error: BaseException, job_id: str) -> JsonObject:
    """Log an unexpected error and describe it for the job's owner, who learns only what is safe to show.

    Messages of our own error trees never hold cell contents and are shown; those of other libraries may
    (a parser quotes what it could not read), so that neither the job nor the log gets them: the log gets the
    class and the stack under an id that the job names.
    """
    error_id = f"err_{secrets.token_hex(8)}"
    _log.error("job %s: error id %s: unexpected %s", job_id, error_id, _stack(error))
    return {**_unexpected(error, error_id), "details": {"error_id": error_id}}


def _unexpected(error: BaseException, error_id: str) -> JsonObject:
    if isinstance(error, RootstockModelError | StorageError):
        return _described(error.code, error.message, {})
    if isinstance(error, MemoryError) or _TORCH_ALLOCATION_FAILURE in str(error):
        advice = "Give the worker more, or use a smaller table."
        return _described(
            "out_of_memory", f"The job needed more memory than the machine could give. {advice}", {}
        )
    if (isinstance(error, OSError) and error.errno in _DISK_FULL) or _SYSTEM_SAYS_FULL in str(error):
        return _described(
            "disk_full", "The disk of the worker is full; free some space, then start the job again.", {}
        )
    message = f"An unexpected error ended the job; the worker's log has it under {error_id}."
    return _described("internal_error", message, {})


def _described(code: str, message: str, details: JsonObject) -> JsonObject:
    return {"code": code, "message": message, **({"details": details} if details else {})}


def _stack(error: BaseException) -> str:
    """Class names and code positions of an error and its causes, without their messages."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None:
        frames = "".join(traceback.format_tb(current.__traceback__)).rstrip()
        parts.append(f"{type(current).__module__}.{type(current).__qualname__}\n{frames}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n  caused by ".join(parts)
