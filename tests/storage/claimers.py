"""What the processes of `test_job_queue` run; imports little, because each of them does it anew."""

from __future__ import annotations

from storage.engine import Database

KINDS = ("pretrain", "finetune")


def claim_all(url: str, number: int) -> list[tuple[str, int]]:
    """Claim and finish jobs until there are none; returns the id and attempt of each."""
    database = Database.open(url)
    mine: list[tuple[str, int]] = []
    while True:
        with database.writing() as uow:
            job = uow.jobs.claim(f"process-{number}", KINDS, 60.0)
        if job is None:
            break
        mine.append((job.id, job.attempt))
        with database.writing() as uow:
            uow.jobs.succeed(job.id, job.fence, {"worker": number})
    database.dispose()
    return mine
