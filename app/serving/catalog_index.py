"""The catalog in memory: one immutable snapshot with the look-ups that keys and predictions need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import ResourceConflict
from app.schemas.predict import DEFAULT_ALIAS, EVERY_TARGET, TargetReference
from app.serving.errors import ReferenceNotFound
from storage.repositories.catalog import (
    CatalogEncoder,
    CatalogHead,
    CatalogKey,
    CatalogSnapshot,
    CatalogTable,
    CatalogTarget,
)

NO_CHAMPION = "no_champion"
_MAX_MEMO = 1_024


@dataclass(frozen=True, slots=True)
class ResolvedHead:
    """What one reference of a request leads to; `reference` is its text as sent, the name in the answer."""

    reference: str
    target: CatalogTarget
    head: CatalogHead
    encoder: CatalogEncoder


@dataclass(frozen=True, slots=True)
class Resolution:
    """Heads in the order of the references; `skipped` maps targets that `"*"` leaves out to the reason's code."""

    table: CatalogTable
    heads: tuple[ResolvedHead, ...]
    skipped: dict[str, str]


class HeadMissing(ReferenceNotFound):
    """The version is not among the ready heads; the database knows whether it exists in another state."""

    def __init__(self, reference: TargetReference, target: CatalogTarget) -> None:
        super().__init__(
            f"target {reference.target!r} has no head version {reference.version}; list its heads for those it has",
            code="head_not_found",
            details={"reference": reference.text},
        )
        self.reference = reference
        self.target_id = target.id


class CatalogIndex:
    """Never changes after construction; a new revision is a new index, swapped in whole."""

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        self.revision = snapshot.revision
        self._workspace_names = {workspace.id: workspace.name for workspace in snapshot.workspaces}
        self._keys = {key.id: key for key in snapshot.keys}
        self._tables = {(table.workspace_id, table.name): table for table in snapshot.tables}
        self._encoders = {encoder.id: encoder for encoder in snapshot.encoders}
        self._heads = {head.id: head for head in snapshot.heads}
        self._versions = {(head.target_id, head.version): head for head in snapshot.heads}
        self._aliases = {(alias.target_id, alias.name): alias.head_id for alias in snapshot.aliases}
        self._targets: dict[str, dict[str, CatalogTarget]] = {}
        for target in snapshot.targets:
            self._targets.setdefault(target.table_id, {})[target.name] = target
        self.snapshot_digests = frozenset(
            table.snapshot_digest for table in snapshot.tables if table.snapshot_digest is not None
        )
        self.model_digests = frozenset(encoder.manifest_digest for encoder in snapshot.encoders)
        self.model_digests |= frozenset(head.manifest_digest for head in snapshot.heads)
        self._resolutions: dict[tuple[str, tuple[str, ...]], Resolution] = {}

    def key(self, public_id: str) -> CatalogKey | None:
        return self._keys.get(public_id)

    def workspace_name(self, workspace_id: str) -> str:
        return self._workspace_names.get(workspace_id, "")

    def table(self, workspace_id: str, name: str) -> CatalogTable:
        """Raises: ReferenceNotFound (table_not_found); ResourceConflict (table_not_ready)."""
        table = self._tables.get((workspace_id, name))
        if table is None:
            raise ReferenceNotFound(
                f"there is no table {name[:80]!r} in this workspace; list the tables for their names",
                code="table_not_found",
            )
        if table.status != "ready":
            raise ResourceConflict(
                f"table {name!r} is {table.status}; wait for its ingest job", code="table_not_ready"
            )
        return table

    def resolve(self, workspace_id: str, table_name: str, references: Sequence[str]) -> Resolution:
        """The heads that the references lead to.

        Raises: ReferenceNotFound with a code that says what is missing; ResourceConflict (table_not_ready).
        """
        table = self.table(workspace_id, table_name)
        memo = (table.id, tuple(references))
        resolution = self._resolutions.get(memo)
        if resolution is None:
            resolution = self._resolve(table, references)
            if len(self._resolutions) < _MAX_MEMO:  # bounded: clients choose the references
                self._resolutions[memo] = resolution
        return resolution

    def _resolve(self, table: CatalogTable, references: Sequence[str]) -> Resolution:
        resolved: dict[str, ResolvedHead] = {}
        skipped: dict[str, str] = {}
        for text in references:
            if text == EVERY_TARGET:
                self._resolve_every(table, resolved, skipped)
            else:
                resolved[text] = self._resolve_one(table, text)
        return Resolution(table, tuple(resolved.values()), skipped)

    def _resolve_every(
        self, table: CatalogTable, resolved: dict[str, ResolvedHead], skipped: dict[str, str]
    ) -> None:
        for name, target in self._targets.get(table.id, {}).items():
            head_id = self._aliases.get((target.id, DEFAULT_ALIAS))
            if head_id is None or head_id not in self._heads:
                skipped[name] = NO_CHAMPION
            else:
                resolved[name] = self._resolved(name, target, self._heads[head_id])

    def _resolve_one(self, table: CatalogTable, text: str) -> ResolvedHead:
        reference = TargetReference.parse(text)
        target = None if reference is None else self._targets.get(table.id, {}).get(reference.target)
        if reference is None or target is None:
            raise ReferenceNotFound(
                f"table {table.name!r} has no target for the reference {text[:80]!r}; list its targets",
                code="target_not_found",
                details={"reference": text[:200]},
            )
        if reference.version is not None:
            head = self._versions.get((target.id, reference.version))
            if head is None:
                raise HeadMissing(reference, target)
            return self._resolved(text, target, head)
        head_id = self._aliases.get((target.id, reference.alias or DEFAULT_ALIAS))
        if head_id is None or head_id not in self._heads:
            raise ReferenceNotFound(
                f"target {target.name!r} has no alias {reference.alias!r}; fine-tune a head for it, or move the "
                "alias to a version",
                code="alias_not_found",
                details={"reference": text},
            )
        return self._resolved(text, target, self._heads[head_id])

    def _resolved(self, text: str, target: CatalogTarget, head: CatalogHead) -> ResolvedHead:
        return ResolvedHead(text, target, head, self._encoders[head.encoder_id])
