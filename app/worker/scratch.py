"""Work folders of jobs on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from storage.engine import Database

_UNFINISHED = frozenset({"queued", "running", "paused"})


def remove_scratch(folder: Path) -> None:
    """Remove a job's folder; what cannot be removed now (a dying child still writes) is left to the sweep."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(database: Database, scratch_dir: Path) -> int:
    """Remove the folders of jobs that have ended or never were; returns how many."""
    if not scratch_dir.is_dir():
        return 0
    folders = [folder for folder in scratch_dir.iterdir() if folder.is_dir()]
    with database.reading() as uow:
        jobs = {folder: uow.jobs.find(folder.name) for folder in folders}
    ended = [folder for folder, job in jobs.items() if job is None or job.status not in _UNFINISHED]
    for folder in ended:
        remove_scratch(folder)
    return len(ended)
