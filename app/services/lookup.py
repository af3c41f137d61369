"""From the names in a URL to rows of the caller's workspace; nothing else reaches a row by name."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import ResourceConflict
from app.schemas.principal import Principal
from models.features.schema import ColumnSchema, TableSchema
from storage.orm import Encoder, Snapshot, Table, TableColumn, Target
from storage.unit_of_work import UnitOfWork


def table_of(uow: UnitOfWork, principal: Principal, name: str) -> Table:
    """Raises: NotFound `table_not_found`."""
    return uow.tables.by_name(principal.workspace_id, name)


def ready_table(uow: UnitOfWork, principal: Principal, name: str) -> tuple[Table, Snapshot]:
    """A table with rows, and its current snapshot.

    Raises: NotFound `table_not_found`; ResourceConflict `table_not_ready` while its file is read.
    """
    table = table_of(uow, principal, name)
    snapshot = uow.tables.current_snapshot(table)
    if table.status != "ready" or snapshot is None:
        raise ResourceConflict(
            "The table is still being registered; wait for its job to succeed.", code="table_not_ready"
        )
    return table, snapshot


def target_of(uow: UnitOfWork, principal: Principal, table: str, target: str) -> tuple[Table, Target]:
    """Raises: NotFound `table_not_found`, `target_not_found`."""
    row = table_of(uow, principal, table)
    return row, uow.targets.by_name(row.id, target)


def schema_of(columns: Sequence[TableColumn]) -> TableSchema:
    """A stored schema version as `models` knows it."""
    return TableSchema(
        columns=tuple(
            ColumnSchema.model_validate({name: getattr(column, name) for name in ColumnSchema.model_fields})
            for column in columns
        )
    )


def current_schema(uow: UnitOfWork, table: Table) -> TableSchema:
    return schema_of(uow.tables.columns(table.id, table.schema_version))


def encoder_schema(uow: UnitOfWork, encoder: Encoder) -> TableSchema:
    """The schema version an encoder was trained under."""
    return schema_of(uow.tables.columns(encoder.table_id, encoder.schema_version))


def active_encoder(uow: UnitOfWork, table: Table) -> Encoder:
    """Raises: ResourceConflict `no_encoder`."""
    encoder = None if table.active_encoder_id is None else uow.encoders.get(table.active_encoder_id)
    if encoder is None or encoder.status != "ready":
        raise ResourceConflict(
            "The table has no ready encoder; start one with POST /v1/tables/{table}/encoders and wait for its job.",
            code="no_encoder",
        )
    return encoder
