"""What a head comes from: the line of snapshots its rows are known in, and the versions that made it."""

from __future__ import annotations

from importlib.metadata import version

import torch

from app.jobs.contract import Task
from models.features.schema import Role, TableSchema
from storage.orm import Head
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

REPLACED = "replace"


def key_space(task: Task, schema: TableSchema, snapshot_id: str) -> str:
    """In which snapshots equal keys are the same row: see `models.features.row_identity`.

    Raises: NotFound snapshot_not_found.
    """
    if schema.with_role(Role.KEY):
        return ""
    with task.database.reading() as uow:
        return first_of_line(uow, snapshot_id)


def first_of_line(uow: UnitOfWork, snapshot_id: str) -> str:
    """Id of the snapshot that this one was appended to, or the one before that …; a replacement begins a line.

    Raises: NotFound snapshot_not_found.
    """
    snapshot = uow.tables.snapshot(snapshot_id)
    while snapshot.mode != REPLACED and snapshot.parent_id is not None:
        snapshot = uow.tables.snapshot(snapshot.parent_id)
    return snapshot.id


def lineage(task: Task, head: Head, snapshot_id: str) -> JsonObject:
    """Versions of everything a head was made from, for its report."""
    with task.database.reading() as uow:
        snapshot = uow.tables.snapshot(snapshot_id)
        encoder = uow.encoders.get(head.encoder_id)
        label_set = uow.label_sets.get(head.label_set_id)
    return {
        "snapshot": snapshot.version,
        "encoder": None if encoder is None else encoder.version,
        "label_set": None if label_set is None else label_set.version,
        "job": task.job_id,
        "rootstock": version("rootstock"),
        "torch": str(torch.__version__),
    }
