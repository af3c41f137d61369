"""Ask for rows to be erased, and say what became of it."""

from __future__ import annotations

import secrets

import polars as pl

from app.errors import InvalidRequest, ResourceConflict, ResourceNotFound
from app.schemas.erasures import (
    ErasePayload,
    EraseRequest,
    ErasureAccepted,
    ErasureList,
    ErasureReceipt,
    SecretKeys,
)
from app.schemas.jobs import JobBody
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, make_once
from app.services.artifacts import remove_unreferenced
from app.services.capacity import Capacity
from app.services.estimates import estimate_erase
from app.services.key_hmacs import key_hmac
from app.services.lookup import current_schema, ready_table, table_of
from models.errors import LabelError
from models.features.labels import canonical_key
from models.features.row_identity import row_identities
from models.features.schema import Role
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.ids import new_id
from storage.orm import Audit, Table
from storage.orm.base import JsonObject
from storage.repositories.jobs import ERASE
from storage.unit_of_work import UnitOfWork

ERASURES = "erasures"  # in a table's settings: how often rows were erased
SALT_BYTES = 32


class ErasureService:
    def __init__(self, database: Database, store: ArtifactStore, capacity: Capacity) -> None:
        self._database = database
        self._store = store
        self._capacity = capacity

    def erase(
        self, principal: Principal, table_name: str, wanted: EraseRequest, request: RepeatableRequest | None
    ) -> Answer:
        """Queue the job that erases the rows of these keys everywhere. No key is stored, only what the job finds it by.

        Raises: NotFound; ResourceConflict `table_not_ready`, `table_busy`; Conflict `erasure_in_progress`; InvalidRequest
            `erasure_needs_key`, `invalid_key`.
        """
        keys = _canonical(wanted)
        salt = secrets.token_bytes(SALT_BYTES)
        secret = SecretKeys(
            salt=salt.hex(),
            hmacs=[key_hmac(salt, key).hex() for key in keys],
            identities=row_identities(pl.Series(keys, dtype=pl.String)).tolist(),
        )

        def make(uow: UnitOfWork) -> Answer:
            table, _ = ready_table(uow, principal, table_name)
            if not current_schema(uow, table).with_role(Role.KEY):
                raise InvalidRequest(
                    "Rows are erased by key, and this table has no key column: a row's number means another row in "
                    "another snapshot. Replace the table by one without the rows, then delete its old snapshots.",
                    code="erasure_needs_key",
                )
            _refuse_busy(uow, table)
            snapshots = uow.tables.snapshots(table.id, 500).items
            payload = ErasePayload(table_id=table.id, num_keys=len(keys), until_end=secret)
            job = uow.jobs.add(
                principal.workspace_id,
                ERASE,
                payload.model_dump(mode="json"),
                table.id,
                table.id,
                job_id=new_id("job"),
                estimate=self._capacity.accept(
                    uow, ERASE, estimate_erase((row.num_rows, row.num_bytes) for row in snapshots)
                ),
            )
            uow.audit.add(
                principal.workspace_id,
                principal.key_id,
                "table.erase",
                table.id,
                {"job": job.id, "keys": len(keys)},
            )
            return Answer.accepted(
                ErasureAccepted(erasure=job.id, salt=salt.hex(), job=JobBody.of(job)), job.id
            )

        return make_once(
            self._database, principal, request, make, to_store=lambda answer: {**answer.body, "salt": None}
        )

    def list(self, principal: Principal, table_name: str) -> ErasureList:
        with self._database.reading() as uow:
            table = table_of(uow, principal, table_name)
            entries = uow.erasures.receipts(principal.workspace_id, table.id)
            jobs = uow.jobs.unfinished(table.id, kind=ERASE)
        return ErasureList(
            erasures=[_receipt(self._settled(entry)) for entry in entries],
            unfinished=[JobBody.of(job) for job in jobs],
        )

    def get(self, principal: Principal, table_name: str, job_id: str) -> ErasureReceipt:
        """Raises: NotFound; ResourceNotFound `erasure_not_found`; ResourceConflict `erasure_not_finished`."""
        with self._database.reading() as uow:
            table = table_of(uow, principal, table_name)
            entry = uow.erasures.receipt(principal.workspace_id, table.id, job_id)
            job = uow.jobs.find(job_id)
        if entry is not None:
            return _receipt(self._settled(entry))
        if job is None or job.table_id != table.id or job.kind != ERASE:
            raise ResourceNotFound("The table has no erasure of this id.", code="erasure_not_found")
        raise ResourceConflict(
            f"There is no receipt: the job is {job.status}; its error, if it failed, says why.",
            code="erasure_not_finished",
            details={"job": job.id, "status": job.status},
        )

    def _settled(self, entry: Audit) -> Audit:
        return settle_receipt(self._database, self._store, entry)


def settle_receipts(database: Database, store: ArtifactStore) -> None:
    """Remove what erasures replaced and nobody removed, because a worker was killed right then. Raises: StorageError."""
    with database.reading() as uow:
        entries = uow.erasures.all_receipts()
    for entry in entries:
        settle_receipt(database, store, entry)


def settle_receipt(database: Database, store: ArtifactStore, entry: Audit) -> Audit:
    """See to it that the objects an erasure replaced are gone, and note it; nothing happens to a completed one."""
    pending: list[str] = entry.details["pending_objects"]
    if entry.details["completed_at"] is not None:
        return entry
    remove_unreferenced(database, store, entry.workspace_id, pending)
    with database.reading() as uow:
        in_use = {digest for digest in pending if uow.artifacts.references(entry.workspace_id, digest)}
    left = [one for one in pending if one not in in_use and store.exists(entry.workspace_id, one)]
    with database.writing() as uow:
        # An object in use again has the bytes of something else that was stored meanwhile.
        changes: JsonObject = {"pending_objects": left}
        if not left:
            changes["completed_at"] = uow.now()
        return uow.erasures.update_receipt(entry.id, changes)


def num_erasures(table: Table) -> int:
    """How often rows of the table were erased: what was computed from it at another count is outdated."""
    return int(table.settings.get(ERASURES, 0))


def was_erased_since(uow: UnitOfWork, seen: Table) -> bool:
    """Whether rows were erased since the table was read as `seen`, in another unit of work."""
    current = uow.tables.get(seen.id)
    return current is None or num_erasures(current) != num_erasures(seen)


def _canonical(wanted: EraseRequest) -> list[str]:
    """Raises: InvalidRequest `invalid_key`."""
    try:
        keys = list(dict.fromkeys(canonical_key(key) for key in wanted.keys))
        for key in keys:
            key.encode()
    except LabelError as error:
        raise InvalidRequest(error.message, code=error.code) from None
    except UnicodeEncodeError:
        raise InvalidRequest("A key has characters that no text can hold.", code="invalid_key") from None
    return keys


def _refuse_busy(uow: UnitOfWork, table: Table) -> None:
    jobs = uow.jobs.unfinished(table.id)
    if any(job.kind == ERASE for job in jobs):
        raise ResourceConflict(
            "Rows of this table are being erased; ask again when that job has ended.",
            code="erasure_in_progress",
            details={"jobs": [job.id for job in jobs]},
        )
    if jobs:
        raise ResourceConflict(
            f"{len(jobs)} jobs of the table are unfinished and may have read these rows. Wait for them, or cancel "
            "them; then ask again.",
            code="table_busy",
            details={"jobs": [job.id for job in jobs][:100]},
        )


def _receipt(entry: Audit) -> ErasureReceipt:
    status = "removing" if entry.details["completed_at"] is None else "completed"
    return ErasureReceipt.model_validate({**entry.details, "status": status})
