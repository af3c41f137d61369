"""Fit heads of one encoder: one or many targets, one pass over the rows per view."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from app.jobs.champions import compare_with_champion
from app.jobs.contract import AbandonedStatus, Task
from app.jobs.gate import champion_of
from app.jobs.labelled_rows import target_data
from app.jobs.lineage import key_space, lineage
from app.jobs.outcomes import publish_head, view_groups
from app.jobs.snapshots import load_encoder, read_snapshot
from app.schemas.payloads import FinetunePayload, HeadToFit
from models.errors import EncoderError, InputError
from models.features.schema import Role, TableSchema
from models.features.snapshot import Snapshot
from models.heads import HeadConfig
from models.training.finetuning import fit_heads
from models.training.targets import HeadFailure, HeadResult, TargetData
from storage.artifacts.manifest import put_bundle
from storage.errors import NotFound
from storage.orm import Head, Job, LabelSet, Target
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

_HEAD_CONFIG: TypeAdapter[HeadConfig] = TypeAdapter(HeadConfig)


@dataclass(frozen=True)
class _ToFit:
    """A head of the payload with the rows it is pinned to, and the champion it has to face."""

    wanted: HeadToFit
    head: Head
    target: Target
    label_set: LabelSet
    champion: Head | None


class FinetuneJob:
    """A published fine-tune makes its heads `ready` or `failed`, one by one, and moves aliases by the gate's rule.

    A target that cannot be fitted fails its own head; the job fails only when no head could be fitted.
    """

    kind = "finetune"
    resumes_from_checkpoint = False

    def run(self, task: Task) -> JsonObject:
        payload = FinetunePayload.model_validate(task.payload)
        wanted = _heads_to_fit(task, payload)
        bundle = load_encoder(task, payload.encoder_id)
        snapshot, schema = read_snapshot(task, payload.table_id, payload.snapshot_id, payload.schema_version)
        _check_columns(bundle.schema, snapshot)
        failures: dict[str, HeadFailure] = {}
        targets = [
            data
            for to_fit in wanted
            if (data := _labels(task, snapshot, schema, to_fit, payload, failures)) is not None
        ]
        results = fit_heads(
            bundle,
            snapshot.read(_columns_to_read(bundle.schema, snapshot)),
            targets,
            _HEAD_CONFIG.validate_python(payload.head),
            seed=payload.labels.seed,
            max_seconds=payload.max_seconds,
            progress=task.progress,
            should_stop=task.should_stop,
            baselines=payload.baselines,
            importance=payload.importance,
            key_space=key_space(task, schema, payload.snapshot_id),
        )
        fitted = {result.name: result for result in results if isinstance(result, HeadResult)}
        failures.update({result.name: result for result in results if isinstance(result, HeadFailure)})
        if not fitted:
            raise _nothing_fitted(failures)
        heads = [
            _failed(to_fit, failures[to_fit.target.name])
            if to_fit.target.name in failures
            else _stored(task, to_fit, fitted[to_fit.target.name], payload, snapshot)
            for to_fit in wanted
        ]
        views = view_groups({name: found.head.view for name, found in fitted.items()})
        return {"heads": heads, "views": views, **_ground(task, payload)}

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        payload = FinetunePayload.model_validate(job.payload)
        heads = [publish_head(uow, job, entry, payload) for entry in result["heads"]]
        return {"heads": heads, **{name: result.get(name) for name in ("views", "encoder", "snapshot")}}

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        for head in FinetunePayload.model_validate(job.payload).heads:
            uow.heads.mark_failed(head.head_id, status, error)


def _heads_to_fit(task: Task, payload: FinetunePayload) -> list[_ToFit]:
    """The payload's heads, without those of targets that were deleted while the job waited."""
    found = []
    with task.database.reading() as uow:
        for wanted in payload.heads:
            head = uow.heads.get(wanted.head_id)
            target = uow.targets.get(wanted.target_id)
            label_set = uow.label_sets.get(wanted.label_set_id)
            if head is not None and target is not None and label_set is not None:
                champion = champion_of(uow, target.id)
                if champion is None and head.refit_of_id is not None:  # its alias was removed meanwhile
                    champion = uow.heads.get(head.refit_of_id)
                found.append(_ToFit(wanted, head, target, label_set, champion))
    if not found:
        raise NotFound("All targets of this fine-tune were deleted while it waited.", code="target_not_found")
    return found


def _ground(task: Task, payload: FinetunePayload) -> JsonObject:
    """Versions of what all heads of the job stand on."""
    with task.database.reading() as uow:
        encoder = uow.encoders.get(payload.encoder_id)
        snapshot = uow.tables.snapshot(payload.snapshot_id)
    return {"encoder": None if encoder is None else encoder.version, "snapshot": snapshot.version}


def _columns_to_read(schema: TableSchema, snapshot: Snapshot) -> list[str]:
    """Inputs of the encoder and of the baselines, and the groups that must not straddle folds."""
    groups = [column.name for column in schema.with_role(Role.GROUP) if column.name in snapshot.columns]
    return [*(column.name for column in schema.encoded), *groups]


def _check_columns(schema: TableSchema, snapshot: Snapshot) -> None:
    """Raises: EncoderError encoder_columns_lost."""
    lost = [column.name for column in schema.encoded if column.name not in snapshot.columns]
    if lost:
        raise EncoderError(
            f"The encoder reads {len(lost)} columns that the current snapshot does not have, such as {lost[0]!r}; "
            "pretrain another encoder on it.",
            code="encoder_columns_lost",
        )


def _labels(
    task: Task,
    snapshot: Snapshot,
    schema: TableSchema,
    to_fit: _ToFit,
    payload: FinetunePayload,
    failures: dict[str, HeadFailure],
) -> TargetData | None:
    wanted = to_fit.wanted
    request = wanted.labels or payload.labels
    config = None if wanted.head is None else _HEAD_CONFIG.validate_python(wanted.head)
    try:
        data = target_data(
            task, snapshot, schema, to_fit.head, to_fit.target, to_fit.label_set, request, payload.snapshot_id
        )
        return replace(data, config=config, seed=request.seed)
    except InputError as error:  # one target's labels are no reason to keep the others waiting
        failures[to_fit.target.name] = HeadFailure(to_fit.target.name, error.code, error.message)
        return None


def _stored(
    task: Task, to_fit: _ToFit, result: HeadResult, payload: FinetunePayload, snapshot: Snapshot
) -> JsonObject:
    bundle = put_bundle(task.store, task.workspace_id, result.to_files(), kind="head")
    comparison = compare_with_champion(task, to_fit.champion, result, snapshot, payload.snapshot_id)
    return {
        "head_id": to_fit.head.id,
        "target": to_fit.target.name,
        "manifest_digest": bundle.digest,
        "artifacts": bundle.digests,
        "kind": result.head.kind,
        "metrics": result.metrics,
        "baselines": result.baselines,
        "verdict": result.verdict,
        "beats_constant": result.beats_constant,
        "comparison": comparison,
        "report": {
            **result.report,
            "warnings": result.warnings,
            "champion": comparison,
            "lineage": lineage(task, to_fit.head, payload.snapshot_id),
        },
    }


def _failed(to_fit: _ToFit, failure: HeadFailure) -> JsonObject:
    error = {"code": failure.code, "message": failure.message}
    return {"head_id": to_fit.head.id, "target": to_fit.target.name, "error": error}


def _nothing_fitted(failures: dict[str, HeadFailure]) -> InputError:
    messages = dict.fromkeys(f"{name}: {failure.message}" for name, failure in failures.items())
    codes = {failure.code for failure in failures.values()}
    code = codes.pop() if len(codes) == 1 else "no_head_fitted"
    return InputError(" ".join(messages), code=code, num_targets=len(failures))
