"""Counts of labels for the table's current snapshot: made anew by whoever first looks after a snapshot was published.

Labels by key are counted again in place, parked ones among them that now have a row. Labels that are a column's values
get a new version with the values of the new snapshot. Nothing is done where they do not fit the target any more; asking
for a head then says why.
"""

from __future__ import annotations

from collections.abc import Collection

from app.errors import ResourceConflict
from app.schemas.principal import Principal
from app.services.label_facts import label_facts
from app.services.label_files import empty_labels
from app.services.label_publishing import LabelPublisher, settle
from app.services.lookup import current_schema
from app.services.target_labels import LabelFacts, column_facts, label_column
from models.errors import LabelError
from models.features.schema import TableSchema, Task
from storage.engine import Database
from storage.errors import NotFound
from storage.orm import LabelSet, Snapshot, Target


class LabelCounter:
    def __init__(self, database: Database, publisher: LabelPublisher) -> None:
        self._database = database
        self._publisher = publisher

    def refresh(self, principal: Principal, table_name: str, targets: Collection[str] | None = None) -> None:
        """Bring the counts of these targets (of all) up to the current snapshot; no error for what is not there."""
        with self._database.reading() as uow:
            try:
                table = uow.tables.by_name(principal.workspace_id, table_name)
            except NotFound:
                return
            snapshot = uow.tables.current_snapshot(table)
            if snapshot is None:
                return
            schema = current_schema(uow, table)
            outdated = [
                (target, label_set)
                for target in uow.targets.list(table.id)
                if targets is None or target.name in targets
                if (label_set := uow.label_sets.latest(target.id)) is not None
                if is_outdated(label_set, snapshot)
            ]
        for target, label_set in outdated:
            facts = self._facts(principal, target, label_set, snapshot, schema)
            if facts is not None:
                self._write(target, label_set, snapshot, facts)

    def _facts(
        self,
        principal: Principal,
        target: Target,
        label_set: LabelSet,
        snapshot_row: Snapshot,
        schema: TableSchema,
    ) -> LabelFacts | None:
        snapshot = self._publisher.snapshot(principal.workspace_id, snapshot_row)
        try:
            if target.column_name is None:
                labels = self._publisher.labels_of(principal.workspace_id, label_set)
                return label_facts(target, snapshot, schema, snapshot_row.version, labels, empty_labels())
            column = label_column(target, schema)
            task = None if target.task is None else Task(target.task)
            return column_facts(
                snapshot, schema, column, task, target.positive, None, known=target.classes or ()
            )
        except (LabelError, ResourceConflict):
            return None

    def _write(self, target: Target, label_set: LabelSet, snapshot: Snapshot, facts: LabelFacts) -> None:
        with self._database.writing() as uow:
            latest = uow.label_sets.latest(target.id)
            table = uow.tables.get(target.table_id)
            if (
                table is None
                or table.current_snapshot_id != snapshot.id
                or latest is None
                or latest.id != label_set.id
                or not is_outdated(latest, snapshot)
            ):
                return  # somebody was faster
            if target.column_name is None:
                uow.label_sets.recount(latest, facts.num_labels, facts.counts)
                return
            uow.label_sets.add(
                target, "column", snapshot.id, None, facts.num_labels, facts.counts, "snapshot"
            )
            settle(uow, target, facts)


def is_outdated(label_set: LabelSet, snapshot: Snapshot) -> bool:
    """Whether its counts are those of another snapshot than the current one."""
    if label_set.source == "column":
        return label_set.snapshot_id != snapshot.id
    return bool(label_set.counts.get("snapshot", 1) != snapshot.version)
