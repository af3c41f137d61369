"""Start pretraining, look at encoder versions, choose the active one."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import InvalidRequest
from app.schemas.encoders import (
    EncoderAccepted,
    EncoderBody,
    EncoderDeleted,
    EncoderDetail,
    EncoderList,
    EncoderRequest,
    EncoderSummary,
)
from app.schemas.jobs import JobBody
from app.schemas.payloads import PretrainPayload
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, make_once
from app.services.artifacts import remove_unreferenced
from app.services.capacity import Capacity
from app.services.estimates import estimate_pretrain
from app.services.lookup import current_schema, encoder_schema, ready_table, table_of
from app.services.views import stale_reason
from models import encoders, objectives
from models.features.schema import TableSchema
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.ids import new_id
from storage.orm import Encoder, Table
from storage.repositories.heads import PinnedHead
from storage.unit_of_work import UnitOfWork


class EncoderService:
    def __init__(self, database: Database, store: ArtifactStore, capacity: Capacity) -> None:
        self._database = database
        self._store = store
        self._capacity = capacity

    def pretrain(
        self, principal: Principal, table_name: str, wanted: EncoderRequest, request: RepeatableRequest | None
    ) -> Answer:
        """Queue the pretraining of the table's next encoder version.

        Raises: ResourceConflict `table_not_ready`; InvalidRequest `no_encodable_columns`, `would_not_fit`; EncoderError
            `no_categorical_columns`, `duplicate_objective`; InsufficientStorage `disk_full`.
        """
        config = wanted.architecture or encoders.DEFAULT
        objectives.check_objectives(wanted.objectives or objectives.DEFAULT)
        architecture = config.model_dump(mode="json")
        sizes = {} if wanted.codec is None else wanted.codec.model_dump(mode="json")
        chosen = [objective.model_dump(mode="json") for objective in wanted.objectives or objectives.DEFAULT]

        def make(uow: UnitOfWork) -> Answer:
            table, snapshot = ready_table(uow, principal, table_name)
            schema = current_schema(uow, table)
            _check_encodable(schema)
            config.check_schema(schema)
            estimate = estimate_pretrain(
                snapshot.num_rows,
                len(schema.encoded),
                architecture,
                max_seconds=wanted.max_seconds,
                num_objectives=len(chosen),
                num_threads=self._capacity.num_threads,
            )
            job_id = new_id("job")
            encoder = uow.encoders.add(table, snapshot.id, table.schema_version, architecture, chosen, job_id)
            payload = PretrainPayload(
                table_id=table.id,
                encoder_id=encoder.id,
                snapshot_id=snapshot.id,
                schema_version=table.schema_version,
                architecture=architecture,
                objectives=chosen,
                codec=sizes,
                max_seconds=wanted.max_seconds,
                seed=wanted.seed,
            )
            job = uow.jobs.add(
                principal.workspace_id,
                "pretrain",
                payload.model_dump(mode="json"),
                encoder.id,
                table.id,
                job_id=job_id,
                estimate=self._capacity.accept(uow, "pretrain", estimate),
            )
            uow.audit.add(principal.workspace_id, principal.key_id, "encoder.pretrain", encoder.id)
            return Answer.accepted(
                EncoderAccepted(encoder=EncoderSummary.model_validate(encoder), job=JobBody.of(job)), job.id
            )

        return make_once(self._database, principal, request, make)

    def list(self, principal: Principal, table_name: str) -> EncoderList:
        with self._database.reading() as uow:
            table = table_of(uow, principal, table_name)
            schema = current_schema(uow, table)
            pinned = uow.heads.pinned(table.id)
            return EncoderList(
                encoders=[
                    _body(uow, table, schema, encoder, pinned) for encoder in uow.encoders.list(table.id)
                ]
            )

    def get(self, principal: Principal, table_name: str, version: int) -> EncoderDetail:
        with self._database.reading() as uow:
            table = table_of(uow, principal, table_name)
            encoder = uow.encoders.by_version(table.id, version)
            pinned = uow.heads.pinned(table.id, encoder.id)
            body = _body(uow, table, current_schema(uow, table), encoder, pinned)
        report = encoder.report
        return EncoderDetail(**body.model_dump(), codec=(report or {}).get("codec"), report=report)

    def activate(self, principal: Principal, table_name: str, version: int) -> EncoderBody:
        """Use this encoder for heads asked for from now on; heads keep the encoder they were fitted on.

        Raises: Conflict `encoder_not_ready`.
        """
        with self._database.writing() as uow:
            table = table_of(uow, principal, table_name)
            encoder = uow.encoders.by_version(table.id, version)
            table = uow.tables.activate_encoder(table, encoder)
            uow.audit.add(principal.workspace_id, principal.key_id, "encoder.activate", encoder.id)
            pinned = uow.heads.pinned(table.id, encoder.id)
            return _body(uow, table, current_schema(uow, table), encoder, pinned)

    def delete(self, principal: Principal, table_name: str, version: int) -> EncoderDeleted:
        """Delete a version that nothing stands on, with the heads that failed on it; its number is not used again.

        Raises: NotFound `encoder_not_found`; Conflict `encoder_in_use`, `encoder_in_pretraining`.
        """
        with self._database.writing() as uow:
            table = table_of(uow, principal, table_name)
            encoder = uow.encoders.by_version(table.id, version)
            failed = uow.heads.pinned(table.id, encoder.id)
            released = uow.encoders.delete(encoder)
            uow.audit.add(principal.workspace_id, principal.key_id, "encoder.delete", encoder.id)
        num_removed = remove_unreferenced(self._database, self._store, principal.workspace_id, released)
        return EncoderDeleted(version=version, heads=len(failed), artifacts=num_removed)


def _check_encodable(schema: TableSchema) -> None:
    if not schema.encoded:
        raise InvalidRequest(
            f"None of the {len(schema.columns)} columns can become a token: an encoder needs at least one column with "
            "the role feature and a kind that is neither identifier nor constant. Change kinds with PATCH "
            "/v1/tables/{table}/columns.",
            code="no_encodable_columns",
        )


def _body(
    uow: UnitOfWork, table: Table, schema: TableSchema, encoder: Encoder, pinned: Sequence[PinnedHead]
) -> EncoderBody:
    heads = [head for head in pinned if head.encoder_id == encoder.id]
    return EncoderBody.model_validate(
        {
            "version": encoder.version,
            "status": encoder.status,
            "id": encoder.id,
            "active": encoder.id == table.active_encoder_id,
            "stale": stale_reason(encoder_schema(uow, encoder), schema),
            "snapshot": uow.tables.snapshot(encoder.snapshot_id).version,
            "schema_version": encoder.schema_version,
            "architecture": encoder.architecture,
            "objectives": encoder.objectives,
            "num_heads": sum(head.status == "ready" for head in heads),
            "heads": [
                {"target": head.target, "version": head.version, "aliases": list(head.aliases)}
                for head in heads
                if head.aliases
            ],
            "bytes": encoder.num_bytes,
            "job": encoder.job_id,
            "error": encoder.error,
            "created_at": encoder.created_at,
            "ready_at": encoder.ready_at,
        }
    )
