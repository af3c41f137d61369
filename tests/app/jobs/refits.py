"""What a refit is about: targets from columns, a further encoder, the job that fits champions on it."""

from __future__ import annotations

from typing import Any

from app.schemas.principal import Principal
from app.schemas.refits import RefitRequest
from storage.orm import Job, LabelSet, Target
from tests.app.jobs.ground import CLASSES, TASKS, Ground


def targets_of(ground: Ground, *columns: str) -> list[tuple[Target, LabelSet]]:
    return [ground.column_target(ground.table(), name, TASKS[name], CLASSES.get(name)) for name in columns]


def pretrain(ground: Ground) -> int:
    assert ground.run(ground.queue_pretrain(ground.table())).status == "succeeded"
    with ground.database.reading() as uow:
        return uow.encoders.list(ground.table().id)[0].version


def queue_refit(ground: Ground, encoder: int, **wanted: Any) -> str:
    principal = Principal(ground.workspace_id, "default", "key_1", frozenset({"admin"}))
    request = RefitRequest.model_validate({"max_seconds": 20.0, **wanted})
    answer = ground.container.refits.refit(principal, "people", encoder, request, None)
    assert answer.status == 202
    return str(answer.body["job"]["id"])


def rows_of(job: Job) -> dict[str, dict[str, Any]]:
    """What a refit that ended says of each target."""
    assert job.result is not None, job.error
    return {row["target"]: row for row in job.result["summary"]}
