"""A small registered table, and jobs on it run to their end in the calling thread."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from app.executors import FinalReport, TaskSpec
from app.executors.running import run_task
from app.jobs import JOB_KINDS
from app.schemas.payloads import FinetunePayload, HeadToFit, IngestPayload, LabelsRequest, PretrainPayload
from app.settings import Settings
from app.wiring import build_container
from app.worker import Patience
from app.worker.settling import Settlement
from app.worker.watching import Outcome
from models import encoders, objectives
from models.features.schema import ColumnOverride, Role
from models.progress import never_stop
from storage.ids import new_id
from storage.orm import Base, Head, Job, LabelSet, Table, Target

KINDS = tuple(JOB_KINDS)
NUM_ROWS = 240
OVERRIDES = {
    "id": ColumnOverride(role=Role.KEY),
    "churned": ColumnOverride(role=Role.TARGET),
    "plan": ColumnOverride(role=Role.TARGET),
    "spend": ColumnOverride(role=Role.TARGET),
    "noise": ColumnOverride(role=Role.TARGET),
}
CLASSES = {"churned": ["no", "yes"], "plan": ["basic", "max", "plus"], "noise": ["no", "yes"]}
TASKS = {"churned": "binary", "plan": "multiclass", "spend": "regression", "noise": "binary"}


def table_csv(num_rows: int = NUM_ROWS) -> bytes:
    """`size` and `colour` say something about `churned`, `plan` and `spend`.

    They cannot say anything about `noise`: rows come in pairs that differ in their key and in `noise` alone.
    """
    draw = random.Random(7)
    lines = ["id,colour,size,active,churned,plan,spend,noise"]
    for pair in range(num_rows // 2):
        colour = draw.choice(["red", "green", "blue"])
        size = draw.gauss(0.0, 1.0)
        active = draw.choice(["true", "false"])
        churned = "yes" if size + draw.gauss(0.0, 0.5) > 0 else "no"
        plan = {"red": "basic", "green": "plus", "blue": "max"}[colour] if draw.random() < 0.8 else "basic"
        spend = 3.0 * size + draw.gauss(0.0, 0.5) + 10.0
        for noise in ("yes", "no"):
            key = f"k{pair:04d}{noise}"
            lines.append(f"{key},{colour},{size:.6f},{active},{churned},{plan},{spend:.6f},{noise}")
    return ("\n".join(lines) + "\n").encode()


class Ground:
    """Database and store in a folder of their own; `table` and `encoder_id` once `register` and `pretrain` ran."""

    def __init__(self, home: Path) -> None:
        self.container = build_container(Settings(home=home, worker_threads=1), with_serving=False)
        self.settings = self.container.settings
        self.database, self.store = self.container.database, self.container.store
        self.settlement = Settlement(
            self.database, self.store, JOB_KINDS, self.settings.scratch_dir, Patience()
        )
        with self.database.writing() as uow:
            self.workspace_id = uow.workspaces.get_or_create("default").id

    # Queueing, as the services do it.

    def queue_ingest(
        self, content: bytes, name: str = "people", filename: str = "people.csv", **changes: Any
    ) -> str:
        digest = self.store.put_bytes(self.workspace_id, content)
        job_id = new_id("job")
        with self.database.writing() as uow:
            table = uow.tables.add(self.workspace_id, name, {})
            payload = IngestPayload(
                table_id=table.id,
                table_name=name,
                upload_digest=digest,
                filename=filename,
                **{"columns": OVERRIDES, "evaluation_fraction": 0.2, **changes},
            )
            uow.artifacts.add(self.workspace_id, digest, len(content), job_id)
            body = payload.model_dump(mode="json")
            uow.jobs.add(self.workspace_id, "ingest", body, table.id, table.id, job_id=job_id)
        return job_id

    def queue_pretrain(self, table: Table, **changes: Any) -> str:
        job_id = new_id("job")
        with self.database.writing() as uow:
            snapshot = uow.tables.current_snapshot(table)
            assert snapshot is not None
            architecture = encoders.DEFAULT.model_dump(mode="json")
            chosen = [objective.model_dump(mode="json") for objective in objectives.DEFAULT]
            encoder = uow.encoders.add(table, snapshot.id, table.schema_version, architecture, chosen, job_id)
            payload = PretrainPayload(
                table_id=table.id,
                encoder_id=encoder.id,
                snapshot_id=snapshot.id,
                schema_version=table.schema_version,
                **{"max_steps": 12, "architecture": architecture, "objectives": chosen, **changes},
            )
            body = payload.model_dump(mode="json")
            uow.jobs.add(self.workspace_id, "pretrain", body, encoder.id, table.id, job_id=job_id)
        return job_id

    def queue_finetune(
        self,
        table: Table,
        heads: Sequence[tuple[Target, LabelSet]],
        *,
        alias: str | None = None,
        labels: LabelsRequest | None = None,
        baselines: bool = False,
    ) -> str:
        job_id = new_id("job")
        request = labels or LabelsRequest()
        with self.database.writing() as uow:
            table = uow.tables.by_name(self.workspace_id, table.name)
            snapshot = uow.tables.current_snapshot(table)
            assert snapshot is not None
            assert table.active_encoder_id is not None
            absent = tuple(name for name, override in OVERRIDES.items() if override.role is Role.TARGET)
            made = [
                uow.heads.add(
                    target, "linear", {"kind": "linear"}, table.active_encoder_id, label_set.id,
                    request.model_dump(), absent, False, job_id,
                )
                for target, label_set in heads
            ]  # fmt: skip
            payload = FinetunePayload(
                table_id=table.id,
                encoder_id=table.active_encoder_id,
                snapshot_id=snapshot.id,
                schema_version=table.schema_version,
                heads=[
                    HeadToFit(head_id=head.id, target_id=head.target_id, label_set_id=head.label_set_id)
                    for head in made
                ],
                head={"kind": "linear"},
                labels=request,
                max_seconds=20,
                alias=alias,
                baselines=baselines,
            )
            body = payload.model_dump(mode="json")
            uow.jobs.add(self.workspace_id, "finetune", body, made[0].id, table.id, job_id=job_id)
        return job_id

    def column_target(
        self, table: Table, name: str, task: str, classes: list[Any] | None, column: str | None = None
    ) -> tuple[Target, LabelSet]:
        with self.database.writing() as uow:
            target = uow.targets.add(table, name, task, column or name, None, classes, [])
            label_set = uow.label_sets.add(target, "column", table.current_snapshot_id, None, NUM_ROWS, {})
        return target, label_set

    # Running and looking.

    def claim(self, job_id: str) -> Job:
        with self.database.writing() as uow:
            job = uow.jobs.claim("by-hand", KINDS, 600.0)
        assert job is not None
        assert job.id == job_id
        return job

    def run_task(self, job: Job, should_stop: Callable[[], bool] = never_stop) -> FinalReport:
        spec = TaskSpec(
            job_id=job.id,
            workspace_id=job.workspace_id,
            kind=job.kind,
            payload=job.payload,
            attempt=job.attempt,
            fence=job.fence,
            scratch=self.settings.scratch_dir / job.id,
            database_url=self.settings.database_url,
            artifacts=self.settings.artifacts,
        )
        return run_task(spec, JOB_KINDS, lambda _: None, should_stop)

    def run(self, job_id: str) -> Job:
        """Claim the job (it must be the oldest in the queue), run it, settle it."""
        job = self.claim(job_id)
        self.settlement.settle(job, Outcome(self.run_task(job)))
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        with self.database.reading() as uow:
            return uow.jobs.get(self.workspace_id, job_id)

    def table(self, name: str = "people") -> Table:
        with self.database.reading() as uow:
            return uow.tables.by_name(self.workspace_id, name)

    def head(self, target: Target, version: int) -> Head:
        with self.database.reading() as uow:
            return uow.heads.by_version(target.id, version)

    def champion(self, target: Target, alias: str = "champion") -> int | None:
        """Version the alias points at."""
        with self.database.reading() as uow:
            found = uow.aliases.get(target.id, alias)
            head = None if found is None else uow.heads.get(found.head_id)
        return None if head is None else head.version

    def objects(self) -> set[str]:
        return {found.digest for found in self.store.list(self.workspace_id)}

    def referenced(self) -> set[str]:
        with self.database.reading() as uow:
            return uow.artifacts.all_digests(self.workspace_id)

    def row_counts(self) -> dict[str, int]:
        """Rows per database table, without those that tell what happened."""
        told = {"job", "job_event", "catalog_revision", "audit"}
        with self.database.reading() as uow:
            return {
                name: uow.session.scalar(select(func.count()).select_from(table)) or 0
                for name, table in Base.metadata.tables.items()
                if name not in told
            }


def ready_ground(home: Path) -> Ground:
    """A ground with a registered table and an active encoder."""
    ground = Ground(home)
    assert ground.run(ground.queue_ingest(table_csv())).status == "succeeded"
    assert ground.run(ground.queue_pretrain(ground.table())).status == "succeeded"
    return ground
