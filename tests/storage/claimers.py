"""What other processes of these tests run; imports little, because each of them does it anew."""

from __future__ import annotations

from multiprocessing.connection import Connection

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


def write_and_hang(url: str, pipe: Connection) -> None:
    """Say so in the middle of a unit of work, everything written but the commit, and wait to be killed."""
    database = Database.open(url)
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("half-made")
        uow.jobs.add(workspace.id, "ingest", {}, None, None)
        uow.before_commit()
        pipe.send("written")
        pipe.recv()
