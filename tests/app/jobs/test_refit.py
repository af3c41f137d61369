"""Champions fitted anew on another encoder: whose rows are compared, what moves, what fails alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.schemas.payloads import LabelsRequest
from storage.artifacts.manifest import load_bundle
from storage.orm import Table, Target
from tests.app.jobs.ground import NUM_ROWS, OVERRIDES, Ground, ready_ground, table_csv
from tests.app.jobs.refits import pretrain, queue_refit, rows_of, targets_of
from tests.app.jobs.snapshots import label_again, next_snapshot

MORE_ROWS = NUM_ROWS + 80


def turned(content: bytes) -> bytes:
    """The same rows in another order, so that no row keeps its number."""
    header, *rows = content.decode().splitlines()
    return ("\n".join([header, *reversed(rows)]) + "\n").encode()


def judged_files(ground: Ground, target: Target, version: int) -> set[str]:
    digest = ground.head(target, version).manifest_digest
    assert digest is not None
    return {name for name in load_bundle(ground.store, ground.workspace_id, digest) if "judged" in name}


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[tuple[Ground, list[Target]]]:
    """Three champions on the first snapshot; then more rows, all of them in another order, and a second encoder."""
    ground = ready_ground(tmp_path / "home")
    heads = targets_of(ground, "churned", "plan", "spend")
    ground.run(ground.queue_finetune(ground.table(), heads, labels=LabelsRequest(limit=150, seed=3)))
    targets = [target for target, _ in heads]
    assert [ground.champion(target) for target in targets] == [1, 1, 1]
    snapshot = next_snapshot(ground, turned(table_csv(MORE_ROWS)))
    for target in targets:
        label_again(ground, target, snapshot)
    assert pretrain(ground) == 2
    yield ground, targets
    ground.container.close()


def test__refit__after_rows_were_added__pairs_every_row_that_the_champion_was_judged_on(
    grown: tuple[Ground, list[Target]],
) -> None:
    ground, targets = grown
    job = ground.run(queue_refit(ground, 2))
    assert job.status == "succeeded", job.error
    assert job.result is not None
    assert (job.result["encoder"], job.result["snapshot"]) == (2, 2)
    assert [view["targets"] for view in job.result["views"]] == [["churned", "plan", "spend"]]
    moved = set(job.result["moved"])
    for target in targets:
        row = rows_of(job)[target.name]
        new, old = ground.head(target, 2), ground.head(target, 1)
        assert (row["champion"], row["version"], new.refit_of_id) == (1, 2, old.id)
        assert (new.config, new.labels_request) == (old.config, old.labels_request)
        assert judged_files(ground, target, 1) == {"judged_out_of_fold.safetensors"}
        # Both fit 150 labels: of more rows the new one draws others, and what is common is compared.
        assert row["on"] == "out_of_fold"
        assert 20 <= row["n"] <= 150
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["moved"] is (f"{target.name}@champion" in moved) is (ground.champion(target) == 2)
        assert new.report is not None
        assert new.report["lineage"]["snapshot"] == 2
        assert new.report["lineage"]["encoder"] == 2
    assert ground.objects() == ground.referenced()


def test__refit__without_promotion__moves_nothing_and_says_what_the_gate_thinks(
    grown: tuple[Ground, list[Target]],
) -> None:
    ground, targets = grown
    job = ground.run(queue_refit(ground, 2, promote=False))
    assert job.result is not None
    assert job.result["moved"] == []
    assert [ground.champion(target) for target in targets] == [1, 1, 1]
    assert all("No alias was to be moved" in head["alias_reason"] for head in job.result["heads"])
    assert all(isinstance(head["passes_gate"], bool) for head in job.result["heads"])


def test__refit__on_the_labels_of_the_champions__fits_the_rows_they_had(
    grown: tuple[Ground, list[Target]],
) -> None:
    ground, targets = grown
    ground.run(queue_refit(ground, 2, labels="same", targets=["churned"]))
    new, old = ground.head(targets[0], 2), ground.head(targets[0], 1)
    assert new.label_set_id == old.label_set_id
    assert new.report is not None
    assert old.report is not None
    assert new.report["num_labels"] == old.report["num_labels"]


def test__refit__where_a_label_column_is_lost__fails_that_target_only(
    grown: tuple[Ground, list[Target]],
) -> None:
    ground, targets = grown
    without = {"plan": {"role": "drop"}}
    lost = next_snapshot(ground, table_csv(MORE_ROWS), columns={**OVERRIDES, **without})
    for target in targets:
        label_again(ground, target, lost)
    pretrain(ground)
    job = ground.run(queue_refit(ground, 3))
    row = rows_of(job)["plan"]
    assert (row["status"], row["difference"], row["moved"]) == ("skipped", None, False)
    assert "'plan'" in row["sentence"]
    assert [rows_of(job)[name]["status"] for name in ("churned", "spend")] == ["ready", "ready"]
    assert ground.champion(targets[1]) == 1


def test__refit__where_a_label_column_is_lost_while_it_waits__fails_that_target_only(
    grown: tuple[Ground, list[Target]],
) -> None:
    ground, targets = grown
    job_id = queue_refit(ground, 2)
    with ground.database.writing() as uow:
        target = uow.targets.get(targets[1].id)
        assert target is not None
        target.column_name = "gone"
    job = ground.run(job_id)
    row = rows_of(job)["plan"]
    assert (row["status"], row["moved"]) == ("failed", False)
    assert "gone" in row["sentence"]
    assert rows_of(job)["churned"]["status"] == "ready"


def test__refit__of_a_replaced_table_without_key__compares_no_row_with_a_stranger(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "home")
    keyless = {name: said for name, said in OVERRIDES.items() if name != "id"}
    content = table_csv()
    assert ground.run(ground.queue_ingest(content, columns=keyless)).status == "succeeded"
    pretrain(ground)
    heads = targets_of(ground, "churned")
    ground.run(ground.queue_finetune(ground.table(), heads))
    appended = next_snapshot(ground, table_csv(MORE_ROWS), columns=keyless)
    label_again(ground, heads[0][0], appended)
    job = ground.run(queue_refit(ground, 1, promote=False))
    assert rows_of(job)["churned"]["n"] > 100
    replaced = next_snapshot(ground, turned(content), mode="replace", columns=keyless)
    label_again(ground, heads[0][0], replaced)
    job = ground.run(queue_refit(ground, 1, promote=False))
    row = rows_of(job)["churned"]
    assert row["difference"] is None
    assert "0 labels in common" in row["sentence"]
    ground.container.close()


def test__finetune__on_an_encoder_that_reads_a_lost_column__fails_at_once_and_says_so(
    grown: tuple[Ground, list[Target]],
) -> None:
    ground, targets = grown
    table: Table = ground.table()
    lost = next_snapshot(ground, table_csv(MORE_ROWS), columns={**OVERRIDES, "size": {"role": "drop"}})
    job = ground.run(ground.queue_finetune(table, [(targets[0], label_again(ground, targets[0], lost))]))
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == "encoder_columns_lost"
