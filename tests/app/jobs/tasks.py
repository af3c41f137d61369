"""A task as a job's child sees it, for tests of what jobs are made of."""

from __future__ import annotations

from pathlib import Path

from app.jobs import Task
from models.progress import never_stop, no_progress
from tests.app.jobs.ground import Ground


def task_of(ground: Ground, scratch: Path) -> Task:
    return Task(
        job_id="job_test",
        workspace_id=ground.workspace_id,
        payload={},
        attempt=1,
        fence=1,
        database=ground.database,
        store=ground.store,
        scratch=scratch,
        num_threads=1,
        progress=no_progress,
        should_stop=never_stop,
    )
