"""All that is known of one table, as plain data: rows, columns, snapshots, encoder, targets."""

from __future__ import annotations

from dataclasses import dataclass

from app.schemas.encoders import EncoderDetail
from app.schemas.heads import HeadDetail
from app.schemas.principal import Principal
from app.schemas.tables import ProfileBody, Proposal, SnapshotBody, SnapshotDetail, TableBody
from app.schemas.targets import TargetBody
from app.services.encoders import EncoderService
from app.services.heads import HeadService
from app.services.proposals import ProposalService
from app.services.snapshots import SnapshotService
from app.services.tables import TableService
from app.services.targets import TargetService
from storage.errors import NotFound

MAX_SNAPSHOTS = 50
MAX_TARGETS = 100


@dataclass(frozen=True, slots=True)
class TargetChampion:
    target: TargetBody
    champion: HeadDetail | None


@dataclass(frozen=True, slots=True)
class TableReport:
    """`snapshots` newest first, at most `MAX_SNAPSHOTS`; `current` with its whole drift report."""

    table: TableBody
    profile: ProfileBody
    proposals: list[Proposal]
    snapshots: list[SnapshotBody]
    has_more_snapshots: bool
    current: SnapshotDetail
    encoder: EncoderDetail | None
    targets: list[TargetChampion]
    num_more_targets: int


class TableReportService:
    def __init__(
        self,
        tables: TableService,
        proposals: ProposalService,
        snapshots: SnapshotService,
        encoders: EncoderService,
        targets: TargetService,
        heads: HeadService,
    ) -> None:
        self._tables = tables
        self._proposals = proposals
        self._snapshots = snapshots
        self._encoders = encoders
        self._targets = targets
        self._heads = heads

    def get(self, principal: Principal, name: str) -> TableReport:
        """What other routes say, put together; each part is consistent by itself.

        Raises: NotFound `table_not_found`; ResourceConflict `table_not_ready`.
        """
        profile = self._tables.profile(principal, name)
        table = self._tables.get(principal, name)
        proposals = self._proposals.list(principal, name).proposals
        page = self._snapshots.list(principal, name, MAX_SNAPSHOTS, None)
        targets = self._targets.list(principal, name).targets
        return TableReport(
            table=table,
            profile=profile,
            proposals=proposals,
            snapshots=page.snapshots,
            has_more_snapshots=page.next_cursor is not None,
            current=self._snapshots.get(principal, name, profile.snapshot),
            encoder=self._encoder(principal, table),
            targets=[self._champion(principal, name, target) for target in targets[:MAX_TARGETS]],
            num_more_targets=max(0, len(targets) - MAX_TARGETS),
        )

    def _encoder(self, principal: Principal, table: TableBody) -> EncoderDetail | None:
        if table.active_encoder is None:
            return None
        try:
            return self._encoders.get(principal, table.name, table.active_encoder)
        except NotFound:  # replaced and deleted since the table was read
            return None

    def _champion(self, principal: Principal, table: str, target: TargetBody) -> TargetChampion:
        if target.champion is None:
            return TargetChampion(target, None)
        try:
            return TargetChampion(target, self._heads.get(principal, table, target.name, target.champion))
        except NotFound:  # deleted since
            return TargetChampion(target, None)
