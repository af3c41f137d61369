"""Take back, in one transaction, every alias move that one job made."""

from __future__ import annotations

from app.schemas.jobs import FINISHED_STATUSES
from app.schemas.principal import Principal
from app.schemas.refits import AliasLeftAlone, AliasMovedBack, JobRolledBack
from app.services.answers import Answer, RepeatableRequest, make_once
from app.services.lookup import table_of
from storage.engine import Database
from storage.errors import Conflict, NotFound
from storage.orm import AliasHistory, Job, Table
from storage.repositories.aliases import NOWHERE, REMOVED
from storage.unit_of_work import UnitOfWork


class RollbackService:
    def __init__(self, database: Database) -> None:
        self._database = database

    def rollback(
        self, principal: Principal, table_name: str, job_id: str, request: RepeatableRequest | None
    ) -> Answer:
        """Put back the aliases that a refit or fine-tune moved; those that have moved since are left alone, and named.

        Raises: NotFound `table_not_found`, `job_not_found`; Conflict `job_not_finished`, `nothing_to_roll_back` when
            the job moved none.
        """

        def make(uow: UnitOfWork) -> Answer:
            table = table_of(uow, principal, table_name)
            moves = _moves(uow, table, _job(uow, principal, table, job_id))
            moved: list[AliasMovedBack] = []
            left: list[AliasLeftAlone] = []
            for move in moves:
                target = uow.targets.get(move.target_id)
                if target is None:  # deleted between two statements; its aliases went with it
                    continue
                try:
                    uow.aliases.undo(move, principal.key_id)
                except (Conflict, NotFound) as error:
                    reason = _reason(uow, error, move)
                    left.append(AliasLeftAlone(target=target.name, alias=move.name, reason=reason))
                else:
                    moved.append(
                        AliasMovedBack(
                            target=target.name,
                            alias=move.name,
                            version=move.previous_head_version,
                            from_version=move.head_version,
                        )
                    )
            details = {"aliases": len(moved)}
            uow.audit.add(principal.workspace_id, principal.key_id, "job.rollback", job_id, details)
            body = JobRolledBack(job=job_id, rolled_back=moved, left_alone=left)
            return Answer(200, body.model_dump(mode="json"))

        return make_once(self._database, principal, request, make)


def _job(uow: UnitOfWork, principal: Principal, table: Table, job_id: str) -> Job:
    job = uow.jobs.get(principal.workspace_id, job_id)
    if job.table_id != table.id:
        raise NotFound(f"There is no job {job_id!r} of this table.", code="job_not_found")
    if job.status not in FINISHED_STATUSES:
        raise Conflict(
            f"The job is {job.status}: it has moved nothing yet. Cancel it, or wait for its end.",
            code="job_not_finished",
        )
    return job


def _moves(uow: UnitOfWork, table: Table, job: Job) -> list[AliasHistory]:
    moves = uow.aliases.moved_by(table.id, job.id)
    if not moves:
        raise Conflict("The job moved no alias that is still there.", code="nothing_to_roll_back")
    return moves


def _reason(uow: UnitOfWork, error: Conflict | NotFound, move: AliasHistory) -> str:
    if isinstance(error, NotFound):
        return f"Version {move.previous_head_version}, where it pointed before, was deleted."
    if _is_taken_back(uow, move):
        return "It was taken back already."
    return "It has moved since."


def _is_taken_back(uow: UnitOfWork, move: AliasHistory) -> bool:
    """Whether the alias's next move led to where it pointed before `move`: nowhere, if that made it."""
    undone = ("rolled_back", move.previous_head_version)
    if move.previous_head_version is None:
        undone = (REMOVED, NOWHERE)
    return any(
        (later.action, later.head_version) == undone
        for later in uow.aliases.history(move.target_id, move.name)
        if later.revision == move.revision + 1
    )
