"""What every job kind promises to the worker, whatever it makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.executors import Failed, Stopped
from app.jobs import JOB_KINDS, AbandonedStatus
from app.worker.watching import Outcome
from storage.errors import Conflict, NotFound
from storage.orm import Job
from tests.app.jobs.ground import Ground

GONE: dict[str, dict[str, Any]] = {
    "ingest": {"table_id": "tbl_gone", "table_name": "gone", "upload_digest": "0" * 64, "filename": "gone.csv"},
    "pretrain": {"table_id": "tbl_gone", "encoder_id": "enc_gone", "snapshot_id": "snp_gone", "schema_version": 1},
    "finetune": {
        "table_id": "tbl_gone", "encoder_id": "enc_gone", "snapshot_id": "snp_gone", "schema_version": 1,
        "heads": [{"head_id": "head_gone", "target_id": "tgt_gone", "label_set_id": "lbl_gone"}],
    },
    "refit": {
        "table_id": "tbl_gone", "encoder_id": "enc_gone", "snapshot_id": "snp_gone", "schema_version": 1,
        "heads": [{"head_id": "head_gone", "target_id": "tgt_gone", "label_set_id": "lbl_gone", "head": {"kind": "linear"}}],
        "skipped": {"other": "why"},
    },
    "erase": {
        "table_id": "tbl_gone", "num_keys": 1,
        "until_end": {"salt": "00", "hmacs": ["00"], "identities": [1]},
    },
}  # fmt: skip
"""A payload per kind whose subject does not exist."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    ground = Ground(tmp_path_factory.mktemp("kinds") / "home")
    yield ground
    ground.container.close()


@pytest.fixture(params=sorted(JOB_KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def queue_gone(ground: Ground, kind: str) -> str:
    with ground.database.writing() as uow:
        return uow.jobs.add(ground.workspace_id, kind, GONE[kind], None, None).id


def test__kind__has_its_own_name_and_an_example_here(kind: str) -> None:
    assert JOB_KINDS[kind].kind == kind
    assert kind in GONE


def test__run__of_a_subject_that_is_gone__fails_without_a_trace(ground: Ground, kind: str) -> None:
    rows, objects = ground.row_counts(), ground.objects()
    job = ground.claim(queue_gone(ground, kind))
    report = ground.run_task(job)
    assert isinstance(report, Failed)
    while ground.settlement.settle(job, Outcome(report)) == "queued":
        job = ground.claim(job.id)
    assert ground.job(job.id).status == "failed"
    assert (ground.row_counts(), ground.objects()) == (rows, objects)
    assert not (ground.settings.scratch_dir / job.id).exists()


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test__abandon__of_a_subject_that_is_gone__does_nothing_however_often(
    ground: Ground, kind: str, status: AbandonedStatus
) -> None:
    job = Job(id="job_gone", workspace_id=ground.workspace_id, kind=kind, payload=GONE[kind])
    rows = ground.row_counts()
    with ground.database.writing() as uow:
        for _ in range(2):
            JOB_KINDS[kind].abandon(uow, job, status, {"code": "x", "message": "y"})
    assert ground.row_counts() == rows


def test__publish__of_a_subject_that_is_gone__raises_or_says_so(ground: Ground, kind: str) -> None:
    job = Job(id="job_gone", workspace_id=ground.workspace_id, kind=kind, payload=GONE[kind])
    result: dict[str, Any] = {
        "manifest_digest": "0" * 64, "artifacts": [["0" * 64, 1]], "num_rows": 1, "columns": [], "warnings": [],
        "report": {}, "heads": [{"head_id": "head_gone", "target": "gone"}],
    }  # fmt: skip
    rows = ground.row_counts()
    try:
        with ground.database.writing() as uow:
            published = JOB_KINDS[kind].publish(uow, job, result)
    except (NotFound, Conflict):
        pass
    else:
        assert [head["status"] for head in published["heads"]] == ["deleted"]
    assert ground.row_counts() == rows


def test__shutdown__before_the_first_step__goes_back_to_the_queue(ground: Ground, kind: str) -> None:
    job = ground.claim(queue_gone(ground, kind))
    assert ground.settlement.settle(job, Outcome(Stopped(), "shutdown")) == "queued"
    assert ground.job(job.id).attempt == 0
    with ground.database.writing() as uow:
        uow.jobs.request_cancel(ground.workspace_id, job.id)
