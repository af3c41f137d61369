"""A champion faces the new head on hold-out rows that came after it, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.jobs.rejudging import has_later_rows, judged_again
from app.jobs.snapshots import read_snapshot
from models.evaluation.judged import JudgedRows
from models.features.schema import Task as PredictionTask
from storage.artifacts.manifest import load_bundle
from tests.app.jobs.ground import Ground, table_csv
from tests.app.jobs.refits import pretrain, queue_refit, rows_of, targets_of
from tests.app.jobs.snapshots import label_again, next_snapshot
from tests.app.jobs.tasks import task_of

FRACTION = 0.5
FIRST_ROWS, ALL_ROWS = 520, 700


def holdout(ground: Ground, digest: str | None, task: PredictionTask) -> tuple[dict[str, bytes], JudgedRows]:
    assert digest is not None
    files = load_bundle(ground.store, ground.workspace_id, digest)
    return files, JudgedRows.from_bytes(files["judged_holdout.safetensors"], task, "holdout")


def test__refit__with_later_hold_out_rows__lets_the_champion_predict_them(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "home")
    job = ground.run(ground.queue_ingest(table_csv(FIRST_ROWS), evaluation_fraction=FRACTION))
    assert job.status == "succeeded", job.error
    pretrain(ground)
    heads = targets_of(ground, "churned", "spend")
    ground.run(ground.queue_finetune(ground.table(), heads))
    snapshot = next_snapshot(ground, table_csv(ALL_ROWS), evaluation_fraction=FRACTION)
    for target, _ in heads:
        label_again(ground, target, snapshot)
    rows = rows_of(ground.run(queue_refit(ground, 1)))
    table = ground.table()
    task = task_of(ground, tmp_path)
    stored, _ = read_snapshot(task, table.id, snapshot.id, table.schema_version)
    for target, _ in heads:
        row, champion, new = rows[target.name], ground.head(target, 1), ground.head(target, 2)
        kind = PredictionTask(str(target.task))
        files, before = holdout(ground, champion.manifest_digest, kind)
        _, now = holdout(ground, new.manifest_digest, kind)
        assert row["on"] == "holdout"
        assert (row["n"], row["earlier_rows"]["n"]) == (len(now), len(before))
        assert len(now) > len(before) >= 200
        assert has_later_rows(now, before)
        assert not has_later_rows(now, now)
        # On the rows it was judged on before, the champion says what it said then.
        again = judged_again(task, champion, files, now, stored)
        assert before.identities is not None
        assert again.identities is not None
        _, first, second = np.intersect1d(before.identities, again.identities, return_indices=True)
        assert len(first) == len(before)
        np.testing.assert_allclose(again.outputs[second], before.outputs[first], rtol=1e-4, atol=1e-5)
    ground.container.close()
