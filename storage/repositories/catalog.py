"""The prediction path's view of the database: everything it may need, in one consistent read.

`CatalogRepository.load` runs ten queries, whatever the number of rows (and one per 1,000 targets whose decision
has a capacity); a process polls `revision` and loads again when it has grown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select, update

from storage.errors import SchemaOutOfDate
from storage.orm import (
    Alias,
    ApiKey,
    CatalogRevision,
    Encoder,
    Head,
    Snapshot,
    Table,
    TableColumn,
    Target,
    Workspace,
)
from storage.orm.base import JsonObject
from storage.repositories.base import Repository, batched


@dataclass(frozen=True, slots=True)
class CatalogWorkspace:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CatalogKey:
    """A key that is not revoked; it may have expired."""

    id: str
    workspace_id: str
    secret_sha256: bytes
    scopes: frozenset[str]
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    name: str
    kind: str
    role: str
    storage_type: str


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """`columns` are those of the current schema version; `snapshot_digest` is the current snapshot's manifest."""

    id: str
    workspace_id: str
    name: str
    status: str
    schema_version: int
    columns: tuple[CatalogColumn, ...]
    snapshot_id: str | None
    snapshot_digest: str | None
    active_encoder_id: str | None


@dataclass(frozen=True, slots=True)
class CatalogEncoder:
    """A ready encoder; `snapshot_digest` is the manifest of the snapshot it was pretrained on."""

    id: str
    table_id: str
    version: int
    schema_version: int
    snapshot_id: str
    snapshot_digest: str
    manifest_digest: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class CatalogTarget:
    id: str
    table_id: str
    name: str
    task: str | None
    column_name: str | None
    positive: Any
    classes: tuple[Any, ...] | None
    forbidden_columns: tuple[str, ...]
    decision: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class CatalogHead:
    """A ready head. `score_quantiles` of its report are read only where the target's decision needs them."""

    id: str
    target_id: str
    version: int
    kind: str
    encoder_id: str
    manifest_digest: str
    num_bytes: int
    view: tuple[str, ...]
    score_quantiles: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class CatalogAlias:
    target_id: str
    name: str
    head_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """All of it at one `revision`; `at` is the database's time of the read."""

    revision: int
    at: float
    workspaces: tuple[CatalogWorkspace, ...]
    keys: tuple[CatalogKey, ...]
    tables: tuple[CatalogTable, ...]
    encoders: tuple[CatalogEncoder, ...]
    targets: tuple[CatalogTarget, ...]
    heads: tuple[CatalogHead, ...]
    aliases: tuple[CatalogAlias, ...]


class CatalogRepository(Repository):
    def revision(self) -> int:
        """The number of committed transactions that changed the catalog."""
        value = self._session.scalar(select(CatalogRevision.value).where(CatalogRevision.id == 1))
        if value is None:
            raise SchemaOutOfDate("The catalog's revision row is missing; upgrade the database.")
        return value

    def bump(self) -> None:
        """Let readers load again after this transaction commits; repositories do so by themselves."""
        self._catalog_changed()

    def write_revision(self) -> None:
        """Count this transaction; the unit of work calls it last, so that the row is locked for moments only."""
        self._session.execute(
            update(CatalogRevision)
            .where(CatalogRevision.id == 1)
            .values(value=CatalogRevision.value + 1)
            .execution_options(synchronize_session=False)
        )

    def load(self) -> CatalogSnapshot:
        """Everything, at one revision: call it in a reading unit of work, which is consistent."""
        targets = self._targets()
        limited = [
            target.id for target in targets if target.decision and target.decision["rule"] == "capacity"
        ]
        return CatalogSnapshot(
            revision=self.revision(),
            at=self._now(),
            workspaces=self._workspaces(),
            keys=self._keys(),
            tables=self._tables(),
            encoders=self._encoders(),
            targets=targets,
            heads=self._heads(self._score_quantiles(limited)),
            aliases=self._aliases(),
        )

    def _workspaces(self) -> tuple[CatalogWorkspace, ...]:
        query = select(Workspace.id, Workspace.name).order_by(Workspace.id)
        return tuple(CatalogWorkspace(*row) for row in self._session.execute(query))

    def _keys(self) -> tuple[CatalogKey, ...]:
        query = select(
            ApiKey.id, ApiKey.workspace_id, ApiKey.secret_sha256, ApiKey.scopes, ApiKey.expires_at
        ).where(ApiKey.revoked_at.is_(None))
        return tuple(
            CatalogKey(key_id, workspace_id, secret, frozenset(scopes), expires_at)
            for key_id, workspace_id, secret, scopes, expires_at in self._session.execute(
                query.order_by(ApiKey.id)
            )
        )

    def _tables(self) -> tuple[CatalogTable, ...]:
        columns: dict[str, list[CatalogColumn]] = defaultdict(list)
        current = and_(TableColumn.table_id == Table.id, TableColumn.schema_version == Table.schema_version)
        column_query = (
            select(
                TableColumn.table_id,
                TableColumn.name,
                TableColumn.kind,
                TableColumn.role,
                TableColumn.storage_type,
            )
            .join(Table, current)
            .order_by(TableColumn.table_id, TableColumn.position)
        )
        for table_id, name, kind, role, storage_type in self._session.execute(column_query):
            columns[table_id].append(CatalogColumn(name, kind, role, storage_type))
        query = (
            select(
                Table.id,
                Table.workspace_id,
                Table.name,
                Table.status,
                Table.schema_version,
                Table.current_snapshot_id,
                Snapshot.manifest_digest,
                Table.active_encoder_id,
            )
            .outerjoin(Snapshot, Snapshot.id == Table.current_snapshot_id)
            .order_by(Table.id)
        )
        return tuple(
            CatalogTable(
                id=table_id,
                workspace_id=workspace_id,
                name=name,
                status=status,
                schema_version=schema_version,
                columns=tuple(columns[table_id]),
                snapshot_id=snapshot_id,
                snapshot_digest=digest,
                active_encoder_id=encoder_id,
            )
            for table_id, workspace_id, name, status, schema_version, snapshot_id, digest, encoder_id in (
                self._session.execute(query)
            )
        )

    def _encoders(self) -> tuple[CatalogEncoder, ...]:
        query = (
            select(
                Encoder.id,
                Encoder.table_id,
                Encoder.version,
                Encoder.schema_version,
                Encoder.snapshot_id,
                Snapshot.manifest_digest,
                Encoder.manifest_digest,
                Encoder.num_bytes,
            )
            .join(Snapshot, Snapshot.id == Encoder.snapshot_id)
            .where(Encoder.status == "ready", Encoder.manifest_digest.is_not(None))
            .order_by(Encoder.id)
        )
        return tuple(
            CatalogEncoder(
                encoder_id,
                table_id,
                version,
                schema_version,
                snapshot_id,
                snapshot,
                manifest or "",
                size or 0,
            )
            for encoder_id, table_id, version, schema_version, snapshot_id, snapshot, manifest, size in (
                self._session.execute(query)
            )
        )

    def _targets(self) -> tuple[CatalogTarget, ...]:
        query = select(
            Target.id,
            Target.table_id,
            Target.name,
            Target.task,
            Target.column_name,
            Target.positive,
            Target.classes,
            Target.forbidden_columns,
            Target.decision,
        ).order_by(Target.id)
        return tuple(
            CatalogTarget(
                id=target_id,
                table_id=table_id,
                name=name,
                task=task,
                column_name=column,
                positive=positive,
                classes=None if classes is None else tuple(classes),
                forbidden_columns=tuple(forbidden),
                decision=decision,
            )
            for target_id, table_id, name, task, column, positive, classes, forbidden, decision in (
                self._session.execute(query)
            )
        )

    def _heads(self, scores: Mapping[str, JsonObject]) -> tuple[CatalogHead, ...]:
        query = (
            select(
                Head.id,
                Head.target_id,
                Head.version,
                Head.kind,
                Head.encoder_id,
                Head.manifest_digest,
                Head.num_bytes,
                Head.view,
            )
            .join(Encoder, Encoder.id == Head.encoder_id)
            .where(Head.status == "ready", Head.manifest_digest.is_not(None), Encoder.status == "ready")
            .order_by(Head.id)
        )
        return tuple(
            CatalogHead(
                head_id,
                target_id,
                version,
                kind,
                encoder_id,
                manifest or "",
                size or 0,
                tuple(view),
                scores.get(head_id),
            )
            for head_id, target_id, version, kind, encoder_id, manifest, size, view in self._session.execute(
                query
            )
        )

    def _score_quantiles(self, target_ids: Sequence[str]) -> dict[str, JsonObject]:
        """By head id, of the targets whose decisions have a capacity: the others need no report in memory."""
        found: dict[str, JsonObject] = {}
        for chunk in batched(target_ids, 1_000):
            reports = select(Head.id, Head.report).where(Head.target_id.in_(chunk), Head.status == "ready")
            for head_id, report in self._session.execute(reports):
                if report and report.get("score_quantiles"):
                    found[head_id] = report["score_quantiles"]
        return found

    def _aliases(self) -> tuple[CatalogAlias, ...]:
        query = select(Alias.target_id, Alias.name, Alias.head_id, Alias.revision).order_by(
            Alias.target_id, Alias.name
        )
        return tuple(CatalogAlias(*row) for row in self._session.execute(query))
