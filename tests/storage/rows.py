"""Rows that tests start from, made through the repositories."""

from __future__ import annotations

from dataclasses import dataclass

from storage.engine import Database
from storage.orm import Encoder, Head, Job, LabelSet, Snapshot, Table, Target, Workspace
from storage.unit_of_work import UnitOfWork

DIGEST = "0123456789abcdef" * 4
COLUMNS = [
    {
        "name": "age",
        "kind": "continuous",
        "role": "feature",
        "storage_type": "integer",
        "evidence": "numbers",
    },
    {"name": "y", "kind": "boolean", "role": "target", "storage_type": "string", "kind_source": "override"},
]


@dataclass(frozen=True)
class Rows:
    """A ready table with a ready encoder, a target, labels and one ready head."""

    workspace: Workspace
    table: Table
    snapshot: Snapshot
    encoder: Encoder
    target: Target
    label_set: LabelSet
    head: Head


def add_table(uow: UnitOfWork, workspace: Workspace, name: str = "customers") -> tuple[Table, Snapshot]:
    table = uow.tables.add(workspace.id, name, {"split": {"by": "auto"}})
    table = uow.tables.set_columns(table, 1, COLUMNS)
    snapshot = uow.tables.add_snapshot(table, DIGEST, 1_000, 5_000, uow.now())
    return uow.tables.mark_ready(table, snapshot), snapshot


def add_job(database: Database, kind: str = "pretrain", max_attempts: int = 3) -> Job:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        return uow.jobs.add(workspace.id, kind, {"seed": 1}, None, None, max_attempts)


def add_head(uow: UnitOfWork, rows: Rows, job_id: str | None = None) -> Head:
    return uow.heads.add(
        rows.target,
        "auto",
        {"kind": "auto"},
        rows.encoder.id,
        rows.label_set.id,
        {"limit": None},
        ["y"],
        False,
        job_id,
    )


def publish_head(uow: UnitOfWork, head: Head) -> Head:
    metrics = {"auc": {"value": 0.8, "low": 0.7, "high": 0.9}}
    return uow.heads.publish(
        head.id, DIGEST, 300, metrics, {"logistic": {}}, "better", {"warnings": []}, "linear"
    )


def add_ready_head(database: Database, rows: Rows) -> Head:
    with database.writing() as uow:
        return publish_head(uow, add_head(uow, rows))


def add_rows(database: Database, workspace_name: str = "default") -> Rows:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create(workspace_name)
        table, snapshot = add_table(uow, workspace)
        encoder = uow.encoders.add(
            table, snapshot.id, 1, {"kind": "column_transformer"}, [{"kind": "masked"}], None
        )
        encoder = uow.encoders.publish(encoder.id, DIGEST, 10, {"steps": 5})
        table = uow.tables.activate_encoder(table, encoder)
        target = uow.targets.add(table, "churn", "binary", "y", "Yes", ["No", "Yes"], ["zip", "age"])
        label_set = uow.label_sets.add(target, "column", snapshot.id, None, 900, {"train": 900})
        rows = Rows(workspace, table, snapshot, encoder, target, label_set, Head())
        head = publish_head(uow, add_head(uow, rows))
    return Rows(workspace, table, snapshot, encoder, target, label_set, head)


def workspace_names(database: Database) -> list[str]:
    with database.reading() as uow:
        return [workspace.name for workspace in uow.workspaces.list()]
