from __future__ import annotations

from collections.abc import Callable

import torch

from app.executors import Stopped, Succeeded
from app.worker.watching import Outcome
from models.bundle import EncoderBundle
from storage.artifacts.manifest import load_bundle
from storage.orm import Encoder
from tests.app.jobs.ground import Ground, table_csv


def encoder_of(ground: Ground, job_id: str) -> Encoder:
    with ground.database.reading() as uow:
        encoder = uow.encoders.get(str(ground.job(job_id).subject_id))
    assert encoder is not None
    return encoder


def weights_of(ground: Ground, encoder: Encoder) -> dict[str, torch.Tensor]:
    assert encoder.manifest_digest is not None
    files = load_bundle(ground.store, ground.workspace_id, encoder.manifest_digest)
    return dict(EncoderBundle.from_files(files).encoder.state_dict())


def stop_after(calls: int) -> Callable[[], bool]:
    left = [calls]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    return should_stop


def test__pretrain__published__is_ready_and_the_first_is_active(ready: Ground) -> None:
    table = ready.table()
    with ready.database.reading() as uow:
        first = uow.encoders.by_version(table.id, 1)
    job = ready.run(ready.queue_pretrain(table, seed=1))
    second = encoder_of(ready, job.id)
    assert job.result is not None
    assert (first.status, second.status) == ("ready", "ready")
    assert table.active_encoder_id == first.id == ready.table().active_encoder_id
    assert (job.result["encoder"], job.result["activated"]) == (second.version, False)
    assert job.result["report_summary"]["num_steps"] == 12
    assert second.report is not None
    assert second.num_bytes is not None
    assert ready.objects() == ready.referenced()


def test__pretrain__target_columns__are_unseen(ready: Ground) -> None:
    with ready.database.reading() as uow:
        encoder = uow.encoders.by_version(ready.table().id, 1)
    assert encoder.manifest_digest is not None
    bundle = EncoderBundle.from_files(load_bundle(ready.store, ready.workspace_id, encoder.manifest_digest))
    assert set(bundle.codec.names) == {"colour", "size", "active"}


def test__pretrain__stopped_and_resumed__equals_an_uninterrupted_one_bit_for_bit(ready: Ground) -> None:
    table = ready.table()
    straight = encoder_of(ready, ready.run(ready.queue_pretrain(table, seed=3)).id)
    job = ready.claim(ready.queue_pretrain(table, seed=3))
    for stops in (1, 2):
        report = ready.run_task(job, stop_after(stops))
        assert report == Stopped()
    report = ready.run_task(job)
    assert isinstance(report, Succeeded)
    assert report.result["report"]["num_resumes"] == 2
    assert ready.settlement.settle(job, Outcome(report)) == "succeeded"
    one, other = weights_of(ready, straight), weights_of(ready, encoder_of(ready, job.id))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test__pretrain__without_a_column_to_learn_from__fails_at_once_and_keeps_its_number(
    ground: Ground,
) -> None:
    others = {name: {"role": "target"} for name in ("size", "active", "churned", "plan", "spend", "noise")}
    columns = {**others, "colour": {"kind": "identifier"}, "id": {"role": "key"}}
    assert ground.run(ground.queue_ingest(table_csv(40), columns=columns)).status == "succeeded"
    job = ground.run(ground.queue_pretrain(ground.table()))
    encoder = encoder_of(ground, job.id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert (encoder.status, encoder.version, encoder.error) == ("failed", 1, job.error)
    assert ground.table().active_encoder_id is None


def test__pretrain__cancelled__marks_its_encoder(ready: Ground) -> None:
    job = ready.claim(ready.queue_pretrain(ready.table(), seed=4))
    with ready.database.writing() as uow:
        uow.jobs.request_cancel(ready.workspace_id, job.id)
    assert ready.settlement.settle(job, Outcome(Stopped(), "cancel")) == "cancelled"
    assert encoder_of(ready, job.id).status == "cancelled"
    assert ready.objects() == ready.referenced()
