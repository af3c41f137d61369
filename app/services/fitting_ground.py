"""What all heads of one job stand on: a table's current rows, and an encoder that can read them."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import ResourceConflict
from app.schemas.principal import Principal
from app.services.lookup import active_encoder, current_schema, encoder_schema, ready_table
from models.features.schema import TableSchema
from storage.orm import Encoder, Snapshot, Table
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class FittingGround:
    table: Table
    snapshot: Snapshot
    schema: TableSchema
    encoder: Encoder
    encoder_schema: TableSchema

    @classmethod
    def find(
        cls, uow: UnitOfWork, principal: Principal, table_name: str, encoder_version: int | None = None
    ) -> FittingGround:
        """On the active encoder, or on a ready version of it.

        Raises: NotFound `table_not_found`, `encoder_not_found`; ResourceConflict `table_not_ready`, `no_encoder`,
            `encoder_not_ready`, `encoder_columns_lost`.
        """
        table, snapshot = ready_table(uow, principal, table_name)
        if encoder_version is None:
            encoder = active_encoder(uow, table)
        else:
            encoder = uow.encoders.by_version(table.id, encoder_version)
        if encoder.status != "ready":
            raise ResourceConflict(
                f"Encoder {encoder.version} is {encoder.status}; heads are fitted on a ready one.",
                code="encoder_not_ready",
            )
        ground = cls(table, snapshot, current_schema(uow, table), encoder, encoder_schema(uow, encoder))
        ground._check_columns()
        return ground

    def _check_columns(self) -> None:
        lost = sorted({column.name for column in self.encoder_schema.encoded} - set(self.schema.names))
        if lost:
            more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
            raise ResourceConflict(
                f"Encoder {self.encoder.version} reads columns that the current snapshot does not have: "
                f"{', '.join(lost[:5])}{more}. Pretrain another encoder on it with POST /v1/tables/{{table}}/encoders.",
                code="encoder_columns_lost",
            )
