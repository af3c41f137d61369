"""Rows that training would make, made directly where a test is about what comes after; and what jobs are asked."""

from __future__ import annotations

from typing import Any

from tests.app.routes.service import Service

DIGEST = "0" * 64


def ready_encoder(service: Service, table_name: str, *, activate: bool = True) -> int:
    """A ready encoder version without a stored bundle."""
    with service.container.database.writing() as uow:
        workspace = uow.workspaces.get_by_name("default")
        table = uow.tables.by_name(workspace.id, table_name)
        assert table.current_snapshot_id is not None
        encoder = uow.encoders.add(
            table,
            table.current_snapshot_id,
            table.schema_version,
            {"kind": "column_transformer"},
            [{"kind": "masked_columns"}],
            None,
        )
        encoder = uow.encoders.publish(encoder.id, DIGEST, 0, {})
        if activate:
            uow.tables.activate_encoder(table, encoder)
        return encoder.version


def ready_head(service: Service, table_name: str, target_name: str) -> int:
    """A ready head version on the active encoder, without a stored bundle."""
    with service.container.database.writing() as uow:
        workspace = uow.workspaces.get_by_name("default")
        table = uow.tables.by_name(workspace.id, table_name)
        target = uow.targets.by_name(table.id, target_name)
        label_set = uow.label_sets.latest(target.id)
        assert table.active_encoder_id is not None
        assert label_set is not None
        head = uow.heads.add(
            target,
            "linear",
            {"kind": "linear"},
            table.active_encoder_id,
            label_set.id,
            {"limit": None, "seed": 0},
            ["churned"],
            False,
            None,
        )
        return uow.heads.publish(head.id, DIGEST, 0, {}, {}, "", {}, "linear").version


def take_steps(service: Service, job_id: str, num_steps: int) -> None:
    """Let a queued pretraining take as many steps, however busy the machine is."""
    with service.container.database.writing() as uow:
        job = uow.jobs.find(job_id)
        assert job is not None
        job.payload = {**job.payload, "max_steps": num_steps}


def payload_of(service: Service, job_id: str) -> dict[str, Any]:
    """What the job was queued with."""
    with service.container.database.reading() as uow:
        job = uow.jobs.find(job_id)
        assert job is not None
        return job.payload
