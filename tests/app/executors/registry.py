"""Job kinds that do what executors and workers must survive; found by children through their module's name."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import polars as pl
import torch

from app.jobs import AbandonedStatus, JobKind, Task
from models.errors import Interrupted, LabelError
from storage.errors import NotFound
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

SECRET = "cell-value-4711"


class _Kind:
    """Publishes its result as it is, and notes what became of it as an event of the job."""

    kind = ""
    resumes_from_checkpoint = False

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        uow.jobs.append_event(job.id, "published", {"fence": job.fence})
        return result

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        uow.jobs.append_event(job.id, "abandoned", {"status": status, "error": error})


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, as real checkpoints are: a worker that lost its lease may write while its successor reads."""
    temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    temporary.write_text(text)
    temporary.replace(path)


class Count(_Kind):
    """Steps to `steps`, slowly; resumes from `scratch/step`; keeps it when asked to stop."""

    kind = "count"
    resumes_from_checkpoint = True

    def run(self, task: Task) -> JsonObject:
        kept = task.scratch / "step"
        first = int(kept.read_text()) if kept.exists() else 0
        if digest_of := task.payload.get("store"):
            task.store.put_bytes(task.workspace_id, str(digest_of).encode())
        (task.scratch / "pid").write_text(str(os.getpid()))
        for step in range(first, task.payload["steps"]):
            if task.should_stop():
                raise Interrupted("stopped as asked")
            task.progress(step, task.payload["steps"], "counting")
            _replace(kept, str(step))
            time.sleep(task.payload.get("pause_s", 0.01))
        return {
            "steps": task.payload["steps"],
            "first": first,
            "attempt": task.attempt,
            "nothing": float("nan"),
        }


class Fill(_Kind):
    """Stores an object, then writes more than its disk holds."""

    kind = "fill"

    def run(self, task: Task) -> JsonObject:
        task.store.put_bytes(task.workspace_id, b"x" * task.payload["store_bytes"])
        with (task.scratch / "large").open("wb") as file:
            for _ in range(0, task.payload["num_bytes"], 1 << 16):
                file.write(b"y" * (1 << 16))
        return {}


class Refuse(_Kind):
    kind = "refuse"

    def run(self, task: Task) -> JsonObject:
        raise LabelError("All labels are of one class.", code="one_class", num_classes=1)


class Break(_Kind):
    kind = "break"

    def run(self, task: Task) -> JsonObject:
        try:
            int(SECRET)
        except ValueError as error:
            raise RuntimeError(f"could not parse {SECRET}") from error
        return {}


class Panic(_Kind):
    """A fault that is no `Exception`, as polars raises when its Rust side panics."""

    kind = "panic"

    def run(self, task: Task) -> JsonObject:
        raise pl.exceptions.PanicException(f"could not convert {SECRET}")


class Die(_Kind):
    """Ends its process by a signal or an exit code."""

    kind = "die"

    def run(self, task: Task) -> JsonObject:
        if "signal" in task.payload:
            os.kill(os.getpid(), task.payload["signal"])
            time.sleep(60)
        os._exit(task.payload["exit_code"])


class Hang(_Kind):
    """Reports one step, then never looks at `should_stop` (for a minute)."""

    kind = "hang"

    def run(self, task: Task) -> JsonObject:
        (task.scratch / "pid").write_text(str(os.getpid()))
        task.progress(1, 2, "hanging")
        deadline = time.monotonic() + task.payload.get("seconds", 60)
        while time.monotonic() < deadline:
            time.sleep(0.01)
        return {}


class Look(_Kind):
    """Says what its process is like, after having used every pool."""

    kind = "look"

    def run(self, task: Task) -> JsonObject:
        matrix = torch.ones(256, 256, dtype=torch.float64)
        total = float(torch.linalg.eigvalsh(matrix @ matrix).sum())
        frame = pl.DataFrame({"a": range(100_000)}).lazy().group_by(pl.col("a") % 7).len().collect()
        print("printed by the task", flush=True)  # noqa: T201
        return {
            "pid": os.getpid(),
            "niceness": os.nice(0),
            "torch_threads": torch.get_num_threads(),
            "polars_threads": pl.thread_pool_size(),
            "total": total,
            "groups": len(frame),
        }


class Unpublishable(_Kind):
    """Succeeds, and cannot be published: for a reason of this program, or because its subject is gone."""

    kind = "unpublishable"

    def run(self, task: Task) -> JsonObject:
        task.store.put_bytes(task.workspace_id, b"never published")
        return {}

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        super().publish(uow, job, result)
        if job.payload.get("gone"):
            raise NotFound("The table was deleted meanwhile.", code="table_not_found")
        raise RuntimeError(f"cannot publish {SECRET}")


class Unabandonable(Refuse):
    """Fails, and cannot even be abandoned."""

    kind = "unabandonable"

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        raise KeyError(SECRET)


_ALL: tuple[JobKind, ...] = (
    Count(), Fill(), Refuse(), Break(), Panic(), Die(), Hang(), Look(), Unpublishable(), Unabandonable(),
)  # fmt: skip
JOB_KINDS: dict[str, JobKind] = {kind.kind: kind for kind in _ALL}
