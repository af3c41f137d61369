"""Kinds of jobs. A new one is one file and one line here."""

from __future__ import annotations

from app.jobs.contract import AbandonedStatus, JobKind, Task
from app.jobs.erase import EraseJob
from app.jobs.finetune import FinetuneJob
from app.jobs.ingest import IngestJob
from app.jobs.pretrain import PretrainJob
from app.jobs.refit import RefitJob

JOB_KINDS: dict[str, JobKind] = {
    job.kind: job for job in (IngestJob(), PretrainJob(), FinetuneJob(), RefitJob(), EraseJob())
}

__all__ = ["JOB_KINDS", "AbandonedStatus", "JobKind", "Task"]
