"""What the profile of a table suggests for its columns, and accepting it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from app.errors import InvalidRequest
from app.schemas.principal import Principal
from app.schemas.tables import (
    ColumnBody,
    ColumnChange,
    ColumnsPatch,
    ColumnsPatched,
    Proposal,
    ProposalList,
    ProposalsAccepted,
    ProposalsRequest,
)
from app.services.columns import FIXED_ROLES, ColumnService
from app.services.lookup import current_schema, ready_table
from models.features.schema import Role, TableSchema
from models.features.snapshot import PROFILE_FILE
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.orm.base import JsonObject


class ProposalService:
    def __init__(self, database: Database, store: ArtifactStore, columns: ColumnService) -> None:
        self._database = database
        self._store = store
        self._columns = columns

    def list(self, principal: Principal, table_name: str) -> ProposalList:
        """Proposals that are not in effect yet. Raises: NotFound; ResourceConflict `table_not_ready`."""
        proposals, _ = self._open(principal, table_name)
        return ProposalList.model_validate({"proposals": proposals})

    def accept(self, principal: Principal, table_name: str, wanted: ProposalsRequest) -> ProposalsAccepted:
        """Change the columns as proposed, as `ColumnService.patch` would.

        Raises: InvalidRequest `no_proposal`, `role_is_fixed`; and as `ColumnService.patch`.
        """
        proposals, schema = self._open(principal, table_name)
        if isinstance(wanted.columns, str):
            accepted = [one for one in proposals if one.fixed is None]
            skipped = [one for one in proposals if one.fixed is not None]
        else:
            accepted, skipped = _named(proposals, wanted.columns), []
        if not accepted:
            with self._database.reading() as uow:
                table, _ = ready_table(uow, principal, table_name)
                columns = [ColumnBody.model_validate(column) for column in schema.columns]
            patched = ColumnsPatched(
                schema_version=table.schema_version, columns=columns, stale=[], warnings=[]
            )
        else:
            changes = {one.column: ColumnChange(kind=one.kind, role=one.role) for one in accepted}
            patched = self._columns.patch(principal, table_name, ColumnsPatch(columns=changes))
        return ProposalsAccepted(**patched.model_dump(), accepted=accepted, skipped=skipped)

    def _open(self, principal: Principal, table_name: str) -> tuple[Sequence[Proposal], TableSchema]:
        with self._database.reading() as uow:
            table, snapshot = ready_table(uow, principal, table_name)
            schema = current_schema(uow, table)
        path = bundle_path(self._store, principal.workspace_id, snapshot.manifest_digest, PROFILE_FILE)
        stored = orjson.loads(path.read_bytes()).get("proposals", [])
        found = [_proposal(entry, schema) for entry in stored if entry["column"] in schema]
        return [one for one in found if one is not None], schema


def _proposal(entry: JsonObject, schema: TableSchema) -> Proposal | None:
    """None for one that is in effect, or that a word of the caller has settled."""
    column = schema[entry["column"]]
    kind, role = entry.get("kind"), entry.get("role")
    if kind == column.kind or column.kind_source == "override":
        kind = None
    if role == column.role or column.role is not Role.FEATURE:
        role = None
    if kind is None and role is None:
        return None
    wanted = None if role is None else Role(role)
    fixed = None if wanted is None else FIXED_ROLES.get(wanted)
    if wanted is not None and fixed is not None:
        fixed = f"{fixed}; {_way(column.name, wanted)}"
    return Proposal(column=column.name, kind=kind, role=wanted, reason=entry["reason"], fixed=fixed)


def _way(column: str, role: Role) -> str:
    """How a role that stored rows follow from is given to a column."""
    if role is Role.DROP:
        return f"send the next snapshot with {column!r} as {role} (`--column {column}={role}`)"
    return f"register the file again, under another name, with {role}={column!r} (`--{role} {column}`)"


def _named(proposals: Sequence[Proposal], names: Sequence[str]) -> list[Proposal]:
    by_column = {one.column: one for one in proposals}
    unknown = sorted(set(names) - by_column.keys())
    if unknown:
        raise InvalidRequest(
            f"There is no open proposal for {len(unknown)} of the columns, such as {unknown[0]!r}; GET the table's "
            "proposals.",
            code="no_proposal",
            details={"columns": unknown[:20]},
        )
    return [by_column[name] for name in dict.fromkeys(names)]
