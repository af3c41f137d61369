"""Train an encoder version on a snapshot."""

from __future__ import annotations

import torch
from pydantic import TypeAdapter

from app.jobs.contract import AbandonedStatus, Task
from app.jobs.snapshots import read_snapshot
from app.schemas.payloads import PretrainPayload
from models import encoders, objectives
from models.encoders import EncoderConfig
from models.features.codec import CodecConfig
from models.features.schema import SPLIT_COLUMN
from models.objectives import ObjectiveConfig
from models.training.pretraining import pretrain
from storage.artifacts.manifest import put_bundle
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

_ARCHITECTURE: TypeAdapter[EncoderConfig] = TypeAdapter(EncoderConfig)
_OBJECTIVES: TypeAdapter[list[ObjectiveConfig]] = TypeAdapter(list[ObjectiveConfig])


class PretrainJob:
    """A published pretraining makes its encoder `ready`, and active where the table had none."""

    kind = "pretrain"
    resumes_from_checkpoint = True

    def run(self, task: Task) -> JsonObject:
        payload = PretrainPayload.model_validate(task.payload)
        snapshot, schema = read_snapshot(task, payload.table_id, payload.snapshot_id, payload.schema_version)
        columns = [column.name for column in schema.encoded]
        checkpoints = task.scratch / "checkpoints"
        checkpoints.mkdir(mode=0o700, exist_ok=True)
        bundle = pretrain(
            snapshot.read([*columns, SPLIT_COLUMN]),
            schema,
            architecture=_ARCHITECTURE.validate_python(payload.architecture or encoders.DEFAULT),
            objectives=_OBJECTIVES.validate_python(payload.objectives or list(objectives.DEFAULT)),
            sizes=CodecConfig.model_validate(payload.codec),
            max_seconds=payload.max_seconds,
            seed=payload.seed,
            checkpoint_dir=checkpoints,
            progress=task.progress,
            should_stop=task.should_stop,
            num_steps=payload.max_steps,
            checkpoint_every_s=payload.checkpoint_every_s,
            device=torch.device(task.device),
        )
        stored = put_bundle(task.store, task.workspace_id, bundle.to_files(), kind="encoder")
        return {"manifest_digest": stored.digest, "artifacts": stored.digests, "report": bundle.report}

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        payload = PretrainPayload.model_validate(job.payload)
        num_bytes = sum(size for _, size in result["artifacts"])
        encoder = uow.encoders.publish(
            payload.encoder_id, result["manifest_digest"], num_bytes, result["report"]
        )
        for digest, size in result["artifacts"]:
            uow.artifacts.add(job.workspace_id, digest, size, encoder.id)
        table = uow.tables.get(encoder.table_id)
        is_first = table is not None and table.active_encoder_id is None
        if table is not None and is_first:
            uow.tables.activate_encoder(table, encoder)
        return {
            "encoder": encoder.version,
            "activated": is_first,
            "report_summary": _summary(result["report"]),
        }

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        uow.encoders.mark_failed(PretrainPayload.model_validate(job.payload).encoder_id, status, error)


def _summary(report: JsonObject) -> JsonObject:
    """The few figures of a report that its owner waits for; the encoder has them all."""
    names = ("num_steps", "seconds", "rows_per_second", "held_out_loss", "stopped_by", "warnings")
    return {name: report[name] for name in names if name in report}
