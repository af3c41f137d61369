"""Ask for heads: one target or many in one job; look at versions; delete one."""

from __future__ import annotations

from app.errors import Forbidden, InvalidRequest, ServiceError
from app.schemas.heads import (
    FineTuneAccepted,
    FineTuneRequest,
    HeadAccepted,
    HeadBody,
    HeadDeleted,
    HeadDetail,
    HeadList,
    HeadRequest,
    HeadSummary,
    TargetHead,
)
from app.schemas.jobs import JobBody
from app.schemas.payloads import FinetunePayload, HeadToFit, LabelsRequest
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, make_once
from app.services.artifacts import remove_unreferenced
from app.services.capacity import Capacity
from app.services.estimates import estimate_finetune
from app.services.fitting_ground import FittingGround
from app.services.fitting_labels import labels_for
from app.services.label_counts import LabelCounter
from app.services.lookup import target_of
from app.services.views import absent_columns, is_seen_in_pretraining
from models.heads import DEFAULT_HEAD
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.ids import new_id
from storage.orm import Head, Job, LabelSet, Target
from storage.unit_of_work import UnitOfWork

EVERY_TARGET = "*"


class HeadService:
    def __init__(
        self, database: Database, store: ArtifactStore, capacity: Capacity, counter: LabelCounter
    ) -> None:
        self._database = database
        self._store = store
        self._capacity = capacity
        self._counter = counter

    def fit_one(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        wanted: HeadRequest,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Queue the next head version of one target.

        Raises: NotFound; InvalidRequest `no_labels`, `one_class`, and for kinds that need none `not_pretrained_column`,
            `no_column_guesses`; ResourceConflict `no_encoder`, `table_not_ready`,
            `label_column_lost`, `column_is_no_target`, `no_column_left`.
        """
        self._counter.refresh(principal, table_name, [target_name])

        def make(uow: UnitOfWork) -> Answer:
            ground = FittingGround.find(uow, principal, table_name)
            target = uow.targets.by_name(ground.table.id, target_name)
            ready = [(target, labels_for(uow, target, ground, wanted.head or DEFAULT_HEAD))]
            ((_, head),), job = _queue(uow, principal, ground, ready, wanted, self._capacity)
            body = HeadAccepted(head=HeadSummary.model_validate(head), job=JobBody.of(job))
            return Answer.accepted(body, job.id)

        return make_once(self._database, principal, request, make)

    def fit_many(
        self,
        principal: Principal,
        table_name: str,
        wanted: FineTuneRequest,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Queue one job that fits a head for each named target, or for every target that has labels ("*").

        Raises: as `fit_one`, for any target that is named; InvalidRequest `no_targets`, when "*" leaves none.
        """
        self._counter.refresh(
            principal, table_name, None if wanted.targets == EVERY_TARGET else wanted.targets
        )

        def make(uow: UnitOfWork) -> Answer:
            ground = FittingGround.find(uow, principal, table_name)
            ready, skipped = _fittable_targets(uow, ground, wanted)
            made, job = _queue(uow, principal, ground, ready, wanted, self._capacity)
            heads = [
                TargetHead.model_validate(
                    {"target": target.name, "version": head.version, "status": head.status}
                )
                for target, head in made
            ]
            body = FineTuneAccepted(heads=heads, skipped=skipped, job=JobBody.of(job))
            return Answer.accepted(body, job.id)

        return make_once(self._database, principal, request, make)

    def list(self, principal: Principal, table_name: str, target_name: str) -> HeadList:
        with self._database.reading() as uow:
            _, target = target_of(uow, principal, table_name, target_name)
            names = _alias_names(uow, target)
            return HeadList(heads=[_body(uow, target, head, names) for head in uow.heads.list(target.id)])

    def get(self, principal: Principal, table_name: str, target_name: str, version: int) -> HeadDetail:
        with self._database.reading() as uow:
            _, target = target_of(uow, principal, table_name, target_name)
            head = uow.heads.by_version(target.id, version)
            body = _body(uow, target, head, _alias_names(uow, target))
        return HeadDetail(**body.model_dump(), config=head.config, report=head.report)

    def delete(self, principal: Principal, table_name: str, target_name: str, version: int) -> HeadDeleted:
        """Raises: Conflict `head_in_use` while an alias points at it, `head_in_training`."""
        with self._database.writing() as uow:
            _, target = target_of(uow, principal, table_name, target_name)
            head = uow.heads.by_version(target.id, version)
            released = uow.heads.delete(head)
            uow.audit.add(principal.workspace_id, principal.key_id, "head.delete", head.id)
        num_removed = remove_unreferenced(self._database, self._store, principal.workspace_id, released)
        return HeadDeleted(target=target.name, version=version, artifacts=num_removed)


def _fittable_targets(
    uow: UnitOfWork, ground: FittingGround, wanted: FineTuneRequest
) -> tuple[list[tuple[Target, LabelSet]], dict[str, str]]:
    """Targets with the label sets to fit them on; with "*" those that cannot be fitted are skipped, with why."""
    head = wanted.head or DEFAULT_HEAD
    if wanted.targets != EVERY_TARGET:
        targets = [uow.targets.by_name(ground.table.id, name) for name in dict.fromkeys(wanted.targets)]
        return [(target, labels_for(uow, target, ground, head)) for target in targets], {}
    ready: list[tuple[Target, LabelSet]] = []
    skipped: dict[str, str] = {}
    for target in uow.targets.list(ground.table.id):
        try:
            ready.append((target, labels_for(uow, target, ground, head)))
        except ServiceError as error:
            skipped[target.name] = error.message
    if not ready:
        raise InvalidRequest(
            f"None of the {len(skipped)} targets of the table can be fitted; send labels, or name one to see why.",
            code="no_targets",
        )
    return ready, skipped


def _queue(
    uow: UnitOfWork,
    principal: Principal,
    ground: FittingGround,
    ready: list[tuple[Target, LabelSet]],
    wanted: HeadRequest,
    capacity: Capacity,
) -> tuple[list[tuple[Target, Head]], Job]:
    """Pin a head version per target and queue the job that fits them."""
    if wanted.alias is not None and not principal.may("promote"):
        raise Forbidden(
            "Asking for an alias moves it on success, and the API key lacks the scope promote; leave alias out or "
            "use another key.",
            code="missing_scope",
        )
    config = (wanted.head or DEFAULT_HEAD).model_dump(mode="json")
    sample = wanted.labels.model_dump(mode="json")
    job_id = new_id("job")
    made = [
        (
            target,
            uow.heads.add(
                target,
                config["kind"],
                config,
                ground.encoder.id,
                label_set.id,
                sample,
                absent_columns(ground.schema, target.column_name, target.forbidden_columns),
                is_seen_in_pretraining(ground.encoder_schema, target.column_name),
                job_id,
            ),
        )
        for target, label_set in ready
    ]
    payload = FinetunePayload(
        table_id=ground.table.id,
        encoder_id=ground.encoder.id,
        snapshot_id=ground.snapshot.id,
        schema_version=ground.table.schema_version,
        heads=[
            HeadToFit(head_id=head.id, target_id=target.id, label_set_id=head.label_set_id)
            for target, head in made
        ],
        head=config,
        labels=LabelsRequest.model_validate(sample),
        max_seconds=wanted.max_seconds,
        alias=wanted.alias,
    )
    estimate = estimate_finetune(
        ground.snapshot.num_rows,
        len(ground.encoder_schema.encoded),
        ground.encoder.architecture,
        num_labels=[wanted.labels.limit or label_set.num_labels for _, label_set in ready],
        num_views=len({tuple(head.view) for _, head in made}),
        max_seconds=wanted.max_seconds,
    )
    job = uow.jobs.add(
        principal.workspace_id,
        "finetune",
        payload.model_dump(mode="json"),
        made[0][1].id,
        ground.table.id,
        job_id=job_id,
        estimate=capacity.accept(uow, "finetune", estimate),
    )
    uow.audit.add(
        principal.workspace_id, principal.key_id, "head.fit", job.id, {"heads": [head.id for _, head in made]}
    )
    return made, job


def _alias_names(uow: UnitOfWork, target: Target) -> dict[str, list[str]]:
    """Head id -> names of the aliases that point at it."""
    names: dict[str, list[str]] = {}
    for alias in uow.aliases.list(target.id):
        names.setdefault(alias.head_id, []).append(alias.name)
    return names


def _body(uow: UnitOfWork, target: Target, head: Head, aliases: dict[str, list[str]]) -> HeadBody:
    encoder = uow.encoders.get(head.encoder_id)
    label_set = uow.label_sets.get(head.label_set_id)
    champion = None if head.refit_of_id is None else uow.heads.get(head.refit_of_id)
    return HeadBody.model_validate(
        {
            "version": head.version,
            "status": head.status,
            "id": head.id,
            "target": target.name,
            "kind": head.kind,
            "encoder": 0 if encoder is None else encoder.version,
            "view": head.view,
            "seen_in_pretraining": head.seen_in_pretraining,
            "refit_of": None if champion is None else champion.version,
            "label_set": 0 if label_set is None else label_set.version,
            "labels": head.labels_request,
            "metrics": head.metrics,
            "baselines": head.baselines,
            "verdict": head.verdict,
            "aliases": aliases.get(head.id, []),
            "bytes": head.num_bytes,
            "job": head.job_id,
            "error": head.error,
            "created_at": head.created_at,
            "ready_at": head.ready_at,
        }
    )
