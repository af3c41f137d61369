"""Tables with their columns (by schema version) and snapshots."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, union_all

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import Encoder, Head, Job, LabelSet, Snapshot, Table, TableColumn, Target
from storage.orm.base import JsonObject
from storage.repositories.base import MAX_VERSION, Repository
from storage.repositories.jobs import JobRepository
from storage.repositories.pagination import Page, fetch_page

MOST_NAMED = 20


class TableRepository(Repository):
    def add(self, workspace_id: str, name: str, settings: JsonObject) -> Table:
        """A table in status `registering`. Raises Conflict (name_taken)."""
        values = {
            "id": new_id("tbl"),
            "workspace_id": workspace_id,
            "name": name,
            "status": "registering",
            "created_at": self._now(),
            "settings": settings,
        }
        table = self._insert_unless_taken(Table, values)
        if table is None:
            raise Conflict(
                f"A table named {name!r} exists; choose another name or delete it.", code="name_taken"
            )
        self._catalog_changed()
        return table

    def by_name(self, workspace_id: str, name: str) -> Table:
        """Raises NotFound (table_not_found)."""
        query = select(Table).where(Table.workspace_id == workspace_id, Table.name == name)
        table = self._session.scalars(query).one_or_none()
        if table is None:
            raise self._not_found("table", name)
        return table

    def get(self, table_id: str) -> Table | None:
        return self._session.get(Table, table_id)

    def list(self, workspace_id: str, limit: int, cursor: str | None = None) -> Page[Table]:
        """Newest first. Raises InvalidCursor."""
        return fetch_page(
            self._session,
            select(Table).where(Table.workspace_id == workspace_id),
            listing="tables",
            at=Table.created_at,
            row_id=Table.id,
            limit=limit,
            cursor=cursor,
        )

    def set_columns(self, table: Table, schema_version: int, columns: Sequence[Mapping[str, Any]]) -> Table:
        """Add the next schema version and make it current.

        `columns`: name, kind, role, storage_type, evidence, kind_source and optionally position, in order.

        Raises:
            Conflict: schema_version_conflict, when `schema_version` is not the next one (somebody else changed
                the columns meanwhile); duplicate_column.
        """
        current = self._lock_or_raise(Table, table.id)
        if schema_version != current.schema_version + 1:
            raise Conflict(
                f"The next schema version is {current.schema_version + 1}, not {schema_version}; read the columns again.",
                code="schema_version_conflict",
            )
        if len({column["name"] for column in columns}) != len(columns):
            raise Conflict("Two columns have the same name.", code="duplicate_column")
        rows = [
            {
                "position": position,
                "evidence": "",
                "kind_source": "inferred",
                **column,
                "id": new_id("col"),
                "table_id": current.id,
                "schema_version": schema_version,
            }
            for position, column in enumerate(columns)
        ]
        if rows:
            self._session.execute(insert(TableColumn), rows)
        current.schema_version = schema_version
        self._session.flush()
        self._catalog_changed()
        return current

    def columns(self, table_id: str, schema_version: int | None = None) -> builtins.list[TableColumn]:
        """Columns in order, of the given schema version or the current one."""
        version = (
            select(Table.schema_version).where(Table.id == table_id).scalar_subquery()
            if schema_version is None
            else schema_version
        )
        query = select(TableColumn).where(
            TableColumn.table_id == table_id, TableColumn.schema_version == version
        )
        return builtins.list(self._session.scalars(query.order_by(TableColumn.position)))

    def lock(self, table_id: str) -> Table:
        """The table as it is now, locked until the end of the transaction. Raises NotFound (table_not_found)."""
        return self._lock_or_raise(Table, table_id)

    def set_settings(self, table: Table, changes: JsonObject) -> Table:
        """Put `changes` into the table's settings; the others stay. Raises NotFound (table_not_found)."""
        current = self._lock_or_raise(Table, table.id)
        current.settings = {**current.settings, **changes}
        self._session.flush()
        return current

    def add_snapshot(
        self,
        table: Table,
        manifest_digest: str,
        num_rows: int,
        num_bytes: int,
        as_of: float,
        *,
        mode: str = "replace",
        parent_id: str | None = None,
        changes: JsonObject | None = None,
        drift: JsonObject | None = None,
    ) -> Snapshot:
        """The next snapshot version; not current until `mark_ready`."""
        current = self._lock_or_raise(Table, table.id)
        current.last_snapshot_version += 1
        snapshot = Snapshot(
            id=new_id("snp"),
            table_id=current.id,
            version=current.last_snapshot_version,
            manifest_digest=manifest_digest,
            num_rows=num_rows,
            num_bytes=num_bytes,
            as_of=as_of,
            created_at=self._now(),
            mode=mode,
            parent_id=parent_id,
            changes=changes,
            drift=drift,
        )
        self._session.add(snapshot)
        self._session.flush()
        return snapshot

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """Raises NotFound (snapshot_not_found)."""
        snapshot = self._session.get(Snapshot, snapshot_id)
        if snapshot is None:
            raise self._not_found("snapshot", snapshot_id)
        return snapshot

    def snapshot_by_version(self, table_id: str, version: int) -> Snapshot:
        """Raises NotFound (snapshot_not_found)."""
        found: Snapshot | None = None
        if 0 < version <= MAX_VERSION:
            query = select(Snapshot).where(Snapshot.table_id == table_id, Snapshot.version == version)
            found = self._session.scalars(query).one_or_none()
        if found is None:
            raise self._not_found("snapshot", version)
        return found

    def snapshots(self, table_id: str, limit: int, cursor: str | None = None) -> Page[Snapshot]:
        """Newest first. Raises InvalidCursor."""
        return fetch_page(
            self._session,
            select(Snapshot).where(Snapshot.table_id == table_id),
            listing="snapshots",
            at=Snapshot.created_at,
            row_id=Snapshot.id,
            limit=limit,
            cursor=cursor,
        )

    def num_snapshots(self, table_id: str) -> int:
        query = select(func.count()).where(Snapshot.table_id == table_id)
        return int(self._session.scalars(query).one())

    def delete_snapshot(self, snapshot: Snapshot) -> builtins.list[str]:
        """Delete an old snapshot that nothing stands on; its number is not used again.

        Nothing happens if it is gone already. Returns the digests that nothing refers to any more.

        Raises:
            Conflict: snapshot_in_use, while it is current, an encoder or a label set was made from it, an unfinished job
                reads it, or (in a table without key) later snapshots count their rows from it.
        """
        table = self._lock(Table, snapshot.table_id)  # who refers to a snapshot anew locks it too
        current = self._lock(Snapshot, snapshot.id)
        if table is None or current is None:
            return []
        users = self._users_of(table, current)
        if users:
            more = f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else ""
            raise Conflict(
                f"Snapshot {current.version} is in use: {', '.join(users[:MOST_NAMED])}{more}. Delete these first, or "
                "make another snapshot current.",
                code="snapshot_in_use",
                users=", ".join(users),
            )
        released = self._release_artifacts([current.id])
        self._session.delete(current)
        self._session.flush()
        return released

    def _users_of(self, table: Table, snapshot: Snapshot) -> builtins.list[str]:
        """What stands on a snapshot, in words."""
        users = ["it is the current one"] if table.current_snapshot_id == snapshot.id else []
        encoders = select(Encoder.version).where(Encoder.snapshot_id == snapshot.id).order_by(Encoder.version)
        users += [f"encoder {version}" for version in self._session.scalars(encoders)]
        label_sets = (
            select(Target.name, LabelSet.version)
            .join(Target, Target.id == LabelSet.target_id)
            .where(LabelSet.snapshot_id == snapshot.id)
            .order_by(Target.name, LabelSet.version)
        )
        users += [f"label set {version} of {name}" for name, version in self._session.execute(label_sets)]
        jobs = select(Job).where(Job.table_id == table.id, Job.status.in_(("queued", "running", "paused")))
        users += [
            f"job {job.id}"
            for job in self._session.scalars(jobs.order_by(Job.id))
            if job.payload.get("snapshot_id") == snapshot.id
        ]
        has_key = any(column.role == "key" for column in self.columns(table.id))
        if not has_key:  # rows are known by their number since the first snapshot of the line
            children = select(Snapshot.version).where(
                Snapshot.parent_id == snapshot.id, Snapshot.mode != "replace"
            )
            users += [f"snapshot {version}" for version in self._session.scalars(children)]
        return users

    def current_snapshot(self, table: Table) -> Snapshot | None:
        if table.current_snapshot_id is None:
            return None
        return self._session.get(Snapshot, table.current_snapshot_id)

    def mark_ready(self, table: Table, snapshot: Snapshot) -> Table:
        """Make `snapshot` current and the table usable. Raises Conflict (snapshot_of_another_table)."""
        current = self._lock_or_raise(Table, table.id)
        if snapshot.table_id != current.id:
            raise Conflict("The snapshot belongs to another table.", code="snapshot_of_another_table")
        current.status = "ready"
        current.current_snapshot_id = snapshot.id
        self._session.flush()
        self._catalog_changed()
        return current

    def activate_encoder(self, table: Table, encoder: Encoder | None) -> Table:
        """Make a ready encoder the table's active one; None for no active encoder.

        Raises:
            Conflict: encoder_not_ready; encoder_of_another_table.
        """
        current = self._lock_or_raise(Table, table.id)
        if encoder is not None:
            fresh = self._lock_or_raise(Encoder, encoder.id)
            if fresh.table_id != current.id:
                raise Conflict("The encoder belongs to another table.", code="encoder_of_another_table")
            if fresh.status != "ready":
                raise Conflict(
                    f"Only a ready encoder can be active; version {fresh.version} is {fresh.status}.",
                    code="encoder_not_ready",
                )
        current.active_encoder_id = None if encoder is None else encoder.id
        self._session.flush()
        self._catalog_changed()
        return current

    def delete(self, table: Table) -> builtins.list[str]:
        """Delete the table with all it has; its queued jobs are cancelled, running ones asked to stop.

        Nothing happens if it is gone already. Returns the digests that nothing refers to any more.
        """
        current = self._lock(Table, table.id)
        if current is None:
            return []
        jobs = JobRepository(self._session, self._changes)
        for job_id in self._session.scalars(
            select(Job.id).where(Job.table_id == table.id, Job.status.in_(("queued", "running", "paused")))
        ).all():
            jobs.stop_for_deleted_table(job_id)
        targets = select(Target.id).where(Target.table_id == table.id)
        owners = union_all(
            select(Table.id).where(Table.id == table.id),
            select(Snapshot.id).where(Snapshot.table_id == table.id),
            select(Encoder.id).where(Encoder.table_id == table.id),
            select(LabelSet.id).where(LabelSet.target_id.in_(targets)),
            select(Head.id).where(Head.target_id.in_(targets)),
        )
        released = self._release_artifacts(select(owners.subquery().c.id))
        # Not left to the cascade: PostgreSQL checks what still refers to a snapshot before it cascades deeper.
        for kind in (Target, Encoder, Snapshot):
            self._session.execute(
                delete(kind).where(kind.table_id == current.id).execution_options(synchronize_session=False)
            )
        self._session.delete(current)
        self._session.flush()
        self._catalog_changed()
        return released
