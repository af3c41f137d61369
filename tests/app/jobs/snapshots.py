"""Second snapshots of a ground's table, without the route that makes them."""

from __future__ import annotations

from typing import Any

from storage.artifacts.manifest import read_manifest
from storage.orm import LabelSet, Snapshot, Target
from tests.app.jobs.ground import Ground


def next_snapshot(
    ground: Ground, content: bytes, *, mode: str = "append", name: str = "people", **changes: Any
) -> Snapshot:
    """Make the rows of `content` the table's current snapshot, as if they had been appended to (or had replaced) the
    first; they are read by the registration of a table that is removed again."""
    other = f"{name}-next"
    job = ground.run(ground.queue_ingest(content, other, **changes))
    assert job.status == "succeeded", job.error
    with ground.database.writing() as uow:
        table = uow.tables.by_name(ground.workspace_id, name)
        read = uow.tables.current_snapshot(uow.tables.by_name(ground.workspace_id, other))
        before = uow.tables.current_snapshot(table)
        assert read is not None
        assert before is not None
        made = uow.tables.add_snapshot(table, read.manifest_digest, read.num_rows, read.num_bytes, uow.now())
        made.mode, made.parent_id = mode, before.id
        columns = [
            {field: getattr(column, field) for field in ("name", "kind", "role", "storage_type")}
            for column in uow.tables.columns(read.table_id)
        ]
        table = uow.tables.set_columns(table, table.schema_version + 1, columns)
        uow.tables.mark_ready(table, made)
        for digest, num_bytes in objects_of(ground, read.manifest_digest):
            uow.artifacts.add(ground.workspace_id, digest, num_bytes, made.id)
        uow.tables.delete(uow.tables.by_name(ground.workspace_id, other))
    return made


def objects_of(ground: Ground, digest: str) -> list[tuple[str, int]]:
    manifest = read_manifest(ground.store, ground.workspace_id, digest)
    return [(digest, 1), *((entry.sha256, entry.num_bytes) for entry in manifest.files.values())]


def label_again(ground: Ground, target: Target, snapshot: Snapshot) -> LabelSet:
    """The label set of a column target on another snapshot."""
    with ground.database.writing() as uow:
        return uow.label_sets.add(
            target, "column", snapshot.id, None, snapshot.num_rows, {"train": 100, "distinct_train": 2}
        )
