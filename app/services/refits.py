"""Ask for the champions of a table to be fitted anew on an encoder, in one job."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from app.errors import Forbidden, InvalidRequest, ServiceError
from app.schemas.jobs import JobBody
from app.schemas.payloads import HeadToFit, LabelsRequest, RefitPayload
from app.schemas.principal import Principal
from app.schemas.refits import SECONDS_PER_TARGET, RefitAccepted, RefitHead, RefitRequest
from app.services.answers import Answer, RepeatableRequest, make_once
from app.services.capacity import Capacity
from app.services.estimates import estimate_finetune
from app.services.fitting_ground import FittingGround
from app.services.fitting_labels import labels_for
from app.services.label_counts import LabelCounter
from app.services.target_labels import check_columns
from app.services.views import absent_columns, is_seen_in_pretraining
from models.heads import HeadConfig
from storage.engine import Database
from storage.ids import new_id
from storage.orm import Head, Job, LabelSet, Target
from storage.unit_of_work import UnitOfWork

CHAMPION = "champion"
_HEAD_CONFIG: TypeAdapter[HeadConfig] = TypeAdapter(HeadConfig)


@dataclass(frozen=True)
class _Refit:
    target: Target
    champion: Head
    label_set: LabelSet


class RefitService:
    def __init__(self, database: Database, capacity: Capacity, counter: LabelCounter) -> None:
        self._database = database
        self._capacity = capacity
        self._counter = counter

    def refit(
        self,
        principal: Principal,
        table_name: str,
        encoder_version: int,
        wanted: RefitRequest,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Queue one job that repeats the champions of the named targets, or of all ("*"), on an encoder version.

        Raises: as `FittingGround.find`; for targets that are named InvalidRequest `no_champion`, `no_labels`,
            `one_class` …, ResourceConflict `label_column_lost` …; InvalidRequest
            `no_targets`, when "*" leaves none; Forbidden `missing_scope`.
        """
        if wanted.promote and not principal.may("promote"):
            raise Forbidden(
                "A refit moves champions where the gate lets them, and the API key lacks the scope promote; send "
                '"promote": false or use another key.',
                code="missing_scope",
            )
        self._counter.refresh(principal, table_name, None if wanted.targets == "*" else wanted.targets)

        def make(uow: UnitOfWork) -> Answer:
            ground = FittingGround.find(uow, principal, table_name, encoder_version)
            refits, skipped = _refits(uow, ground, wanted)
            heads, job = _queue(uow, principal, ground, refits, skipped, wanted, self._capacity)
            body = RefitAccepted(
                encoder=ground.encoder.version,
                heads=[
                    RefitHead(
                        target=refit.target.name,
                        version=head.version,
                        status="training",
                        refit_of=refit.champion.version,
                    )
                    for refit, head in zip(refits, heads, strict=True)
                ],
                skipped=skipped,
                job=JobBody.of(job),
            )
            return Answer.accepted(body, job.id)

        return make_once(self._database, principal, request, make)


def _refits(
    uow: UnitOfWork, ground: FittingGround, wanted: RefitRequest
) -> tuple[list[_Refit], dict[str, str]]:
    """What to fit, and with "*" what is passed over, with why."""
    if wanted.targets != "*":
        targets = [uow.targets.by_name(ground.table.id, name) for name in dict.fromkeys(wanted.targets)]
        return [_refit(uow, ground, target, wanted.labels) for target in targets], {}
    refits: list[_Refit] = []
    skipped: dict[str, str] = {}
    for target in uow.targets.list(ground.table.id):
        try:
            refits.append(_refit(uow, ground, target, wanted.labels))
        except ServiceError as error:
            skipped[target.name] = error.message
    if not refits:
        raise InvalidRequest(
            f"None of the {len(skipped)} targets of the table can be refitted; name one to see why, or fit first heads "
            "with POST /v1/tables/{table}/fine-tunes.",
            code="no_targets",
        )
    return refits, skipped


def _refit(uow: UnitOfWork, ground: FittingGround, target: Target, labels: str) -> _Refit:
    alias = uow.aliases.get(target.id, CHAMPION)
    champion = None if alias is None else uow.heads.get(alias.head_id)
    if champion is None:
        raise InvalidRequest(
            f"The target {target.name!r} has no champion to fit anew; fit a head of it first.",
            code="no_champion",
        )
    if labels == "same":
        check_columns(target, ground.schema)
    same = uow.label_sets.get(champion.label_set_id) if labels == "same" else None
    config = _HEAD_CONFIG.validate_python(champion.config)
    return _Refit(target, champion, same or labels_for(uow, target, ground, config))


def _queue(
    uow: UnitOfWork,
    principal: Principal,
    ground: FittingGround,
    refits: list[_Refit],
    skipped: dict[str, str],
    wanted: RefitRequest,
    capacity: Capacity,
) -> tuple[list[Head], Job]:
    """Pin a head version per champion and queue the job that fits them."""
    job_id = new_id("job")
    heads = [_head(uow, ground, refit, job_id) for refit in refits]
    max_seconds = wanted.max_seconds or SECONDS_PER_TARGET * len(refits)
    payload = RefitPayload(
        table_id=ground.table.id,
        encoder_id=ground.encoder.id,
        snapshot_id=ground.snapshot.id,
        schema_version=ground.table.schema_version,
        heads=[
            HeadToFit(
                head_id=head.id,
                target_id=head.target_id,
                label_set_id=head.label_set_id,
                head=head.config,
                labels=LabelsRequest.model_validate(head.labels_request),
            )
            for head in heads
        ],
        max_seconds=max_seconds,
        alias=CHAMPION,
        moves_aliases=wanted.promote,
        skipped=skipped,
    )
    estimate = estimate_finetune(
        ground.snapshot.num_rows,
        len(ground.encoder_schema.encoded),
        ground.encoder.architecture,
        num_labels=[
            refit.champion.labels_request.get("limit") or refit.label_set.num_labels for refit in refits
        ],
        num_views=len({tuple(head.view) for head in heads}),
        max_seconds=max_seconds,
    )
    job = uow.jobs.add(
        principal.workspace_id,
        "refit",
        payload.model_dump(mode="json"),
        heads[0].id,
        ground.table.id,
        job_id=job_id,
        estimate=capacity.accept(uow, "refit", estimate),
    )
    details = {"heads": [head.id for head in heads], "encoder": ground.encoder.id}
    uow.audit.add(principal.workspace_id, principal.key_id, "head.refit", job.id, details)
    return heads, job


def _head(uow: UnitOfWork, ground: FittingGround, refit: _Refit, job_id: str) -> Head:
    target, champion = refit.target, refit.champion
    return uow.heads.add(
        target,
        str(champion.config["kind"]),
        champion.config,
        ground.encoder.id,
        refit.label_set.id,
        champion.labels_request,
        absent_columns(ground.schema, target.column_name, target.forbidden_columns),
        is_seen_in_pretraining(ground.encoder_schema, target.column_name),
        job_id,
        refit_of_id=champion.id,
    )
