"""Erase rows by key from everything a table stores, in one transaction."""

from __future__ import annotations

import numpy as np

from app.jobs.contract import AbandonedStatus, ResultOutdated, Task
from app.jobs.erasing import Erasing
from app.jobs.erasure_ground import ErasureGround
from app.schemas.erasures import ErasePayload
from app.services.erasures import ERASURES
from app.services.lookup import current_schema
from models.errors import InputError
from storage.errors import Conflict, NotFound
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.repositories.erasures import RECEIPT
from storage.unit_of_work import UnitOfWork

NOT_COVERED = (
    "backups of the database and the artifact store",
    "statistics that were computed with the rows: metrics of heads; knots, ends and vocabularies of encoders (a value of "
    "at least min_count rows stays; a quantile of numbers may equal a value of the row)",
    "copies in read caches of other machines, until their next sweep (within an hour)",
)
REMEDY = "pretrain and refit, move the aliases, then delete these versions"


class EraseJob:
    """A published erasure swaps the files of all versions that had something of the rows, and leaves a receipt.

    Until then nothing is changed, and afterwards nothing of the old files is referred to. They go with the job's end;
    the receipt names them until they are gone, so that a worker that is killed in between leaves nothing behind.
    """

    kind = "erase"
    resumes_from_checkpoint = False

    def run(self, task: Task) -> JsonObject:
        payload = ErasePayload.model_validate(task.payload)
        with task.database.reading() as uow:
            table = uow.tables.get(payload.table_id)
            if table is None:
                raise NotFound("The table was deleted while the job waited.", code="table_not_found")
            ground = ErasureGround.of(uow, table)
            current = uow.tables.current_snapshot(table)
            schema = current_schema(uow, table)
        if payload.until_end is None or current is None:
            raise InputError("The job has no keys (any more); ask for the erasure again.", code="no_keys")
        erasing = Erasing(task, ground, payload.until_end, schema)
        erasing.snapshots()
        erasing.label_sets(current)
        erasing.encoders()
        erasing.heads(np.array(payload.until_end.identities, dtype=np.uint64))
        if not erasing.has_found:
            raise InputError(
                f"The table has no row and no label of {'this key' if payload.num_keys == 1 else 'these keys'} "
                f"({payload.num_keys}), in no version; nothing was changed.",
                code="unknown_keys",
            )
        return {
            "ground": ground.digests(),
            "swaps": erasing.swaps,
            "keys_hmac_sha256": sorted(payload.until_end.hmacs),
            "keys_found": len(erasing.found),
            "places": erasing.places,
            "trained_with": erasing.trained_with,
        }

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        payload = ErasePayload.model_validate(job.payload)
        table = uow.tables.lock(payload.table_id)
        uow.erasures.lock_targets(table.id)
        if ErasureGround.of(uow, table).digests() != result["ground"]:
            raise ResultOutdated
        others = [other.id for other in uow.jobs.unfinished(table.id) if other.id != job.id]
        if others:
            raise Conflict(
                f"Other jobs of the table are under way: {', '.join(others[:20])}. Wait for them, then ask again.",
                code="table_busy",
            )
        removed = self._swap(uow, job, result["swaps"])
        uow.tables.set_settings(table, {ERASURES: int(table.settings.get(ERASURES, 0)) + 1})
        uow.erasures.forget_answers(job.workspace_id, job.id)
        trained = result["trained_with"]
        receipt: JsonObject = {
            "erasure": job.id,
            "table": table.name,
            "keys_requested": payload.num_keys,
            "keys_found": result["keys_found"],
            "keys_hmac_sha256": result["keys_hmac_sha256"],
            "places": {
                **result["places"],
                "objects_removed": len(removed),
                "bytes_removed": sum(removed.values()),
            },
            "trained_with": {
                **trained,
                "remedy": REMEDY if trained["encoders"] or trained["heads"] else None,
            },
            "not_covered": list(NOT_COVERED),
            "published_at": uow.now(),
        }
        uow.audit.add(
            job.workspace_id,
            None,
            RECEIPT,
            f"{table.id}/{job.id}",
            {**receipt, "completed_at": None, "pending_objects": sorted(removed)},
        )
        return receipt

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        uow.erasures.forget_answers(job.workspace_id, job.id)

    def _swap(self, uow: UnitOfWork, job: Job, swaps: list[JsonObject]) -> dict[str, int]:
        """Returns the objects that nothing refers to any more but the job, with their bytes: they go when it ends."""
        released = uow.erasures.release([swap["id"] for swap in swaps])
        for swap in swaps:
            uow.erasures.swap(swap["kind"], swap["id"], swap["values"])
            for digest, num_bytes in swap["artifacts"]:
                uow.artifacts.add(job.workspace_id, digest, num_bytes, swap["id"])
                released.pop(digest, None)
        for digest, num_bytes in released.items():
            uow.artifacts.add(job.workspace_id, digest, num_bytes, job.id)
        return released
