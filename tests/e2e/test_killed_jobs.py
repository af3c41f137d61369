"""SIGKILL at any point of a job: it ends once, publishes once, and resumes to the very same bits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

from app.worker.settling import ENDED
from models.bundle import EncoderBundle
from storage.artifacts.manifest import load_bundle
from storage.orm import Job
from tests.app.executors.tasks import eventually
from tests.app.jobs.ground import Ground, table_csv

ROOT = Path(__file__).parents[2]
LONG = {"max_steps": 1_500, "seed": 11, "max_seconds": 3_600.0, "checkpoint_every_s": 0.2}
DEADLINE_S = 150.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A registered table with one uninterrupted pretraining, which is the active encoder."""
    ground = Ground(tmp_path_factory.mktemp("killed") / "home")
    assert ground.run(ground.queue_ingest(table_csv())).status == "succeeded"
    assert ground.run(ground.queue_pretrain(ground.table(), **LONG)).status == "succeeded"
    yield ground
    ground.container.close()


@contextmanager
def worker_process(ground: Ground) -> Iterator[psutil.Popen]:
    process = psutil.Popen(
        [sys.executable, "-m", "tests.e2e.worker_process", str(ground.settings.home)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    family: list[psutil.Process] = []
    try:
        yield process
        if process.poll() is None:
            family = family_of(process)
            process.terminate()
            assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    for member in family:
        eventually_ended(member, "the worker's children")


def eventually_ended(process: psutil.Process, name: str) -> None:
    eventually(lambda: not process.is_running(), f"the end of {name}")


def family_of(process: psutil.Popen) -> list[psutil.Process]:
    """The fork server and its children; empty when they are (about to be) gone."""
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def task_process(process: psutil.Popen) -> psutil.Process:
    """The child that runs the job: a grandchild of the worker."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        servers = process.children()
        found[:] = [child for server in servers for child in server.children()]
        return bool(found)

    eventually(is_there, "the job's process", DEADLINE_S)
    return found[0]


def reached(ground: Ground, job_id: str, step: int) -> None:
    """Wait until the job has come to `step`; it must not have ended before."""

    def is_there() -> bool:
        job = ground.job(job_id)
        assert job.status not in ENDED, job.error
        return job.status == "running" and job.progress_step >= step

    eventually(is_there, f"step {step}", DEADLINE_S)


def ended(ground: Ground, job_id: str) -> Job:
    eventually(lambda: ground.job(job_id).status in ENDED, "the end of the job", DEADLINE_S)
    return ground.job(job_id)


def weights(ground: Ground, version: int) -> dict[str, torch.Tensor]:
    with ground.database.reading() as uow:
        encoder = uow.encoders.by_version(ground.table().id, version)
    assert encoder.manifest_digest is not None
    files = load_bundle(ground.store, ground.workspace_id, encoder.manifest_digest)
    return dict(EncoderBundle.from_files(files).encoder.state_dict())


def event_types(ground: Ground, job_id: str) -> list[str]:
    with ground.database.reading() as uow:
        return [event.type for event in uow.jobs.events(job_id, limit=10_000)]


def test__pretraining__killed_again_and_again__equals_an_uninterrupted_one(ground: Ground) -> None:
    job_id = ground.queue_pretrain(ground.table(), **LONG)
    with worker_process(ground) as worker:
        reached(ground, job_id, 20)
        task_process(worker).kill()
        eventually(lambda: ground.job(job_id).attempt == 2, "the second attempt", DEADLINE_S)
        reached(ground, job_id, 80)
        family = family_of(worker)
        worker.kill()
        worker.wait()
        for member in family:
            eventually_ended(member, "the orphans")
    with worker_process(ground):
        job = ended(ground, job_id)
    assert job.status == "succeeded", job.error
    assert job.attempt == 3
    assert event_types(ground, job_id).count("succeeded") == 1
    with ground.database.reading() as uow:
        report = uow.encoders.by_version(ground.table().id, 2).report
    assert report is not None
    assert report["num_resumes"] == 2
    one, other = weights(ground, 1), weights(ground, 2)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not (ground.settings.scratch_dir / job_id).exists()
    assert ground.objects() == ground.referenced()


def test__worker__killed_among_many_jobs__leaves_each_to_end_once(ground: Ground) -> None:
    tables = [ground.queue_ingest(table_csv(), name=f"many-{number}") for number in range(4)]
    with worker_process(ground) as one, worker_process(ground) as other:
        running = lambda: any(ground.job(job_id).status == "running" for job_id in tables)  # noqa: E731
        eventually(running, "a start", DEADLINE_S)
        one.kill()
        one.wait()
        for job_id in tables:
            assert ended(ground, job_id).status == "succeeded"
        for number, job_id in enumerate(tables):
            assert event_types(ground, job_id).count("succeeded") == 1
            assert ground.table(f"many-{number}").last_snapshot_version == 1
        assert ground.objects() == ground.referenced()
        child_is_killed_every_time(ground, other)


def child_is_killed_every_time(ground: Ground, worker: psutil.Popen) -> None:
    """The job fails, its version keeps its number, and nothing else is left."""
    counts, objects = ground.row_counts(), ground.objects()
    job_id = ground.queue_pretrain(ground.table(), **{**LONG, "seed": 12})
    for _ in range(3):
        child = task_process(worker)
        child.kill()
        eventually_ended(child, "the child")
    job = ended(ground, job_id)
    with ground.database.reading() as uow:
        encoder = uow.encoders.get(str(job.subject_id))
    assert encoder is not None
    assert (job.status, encoder.status) == ("failed", "failed")
    assert job.error is not None
    assert job.error["code"] == "process_killed"
    assert ground.row_counts() == {**counts, "encoder": counts["encoder"] + 1}
    assert ground.objects() == objects
