"""Tables, columns by schema version, snapshots, encoders, targets, label sets and heads."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from storage.engine import Database
from storage.errors import Conflict, NotFound
from storage.orm import Base, CatalogRevision, Job, JobEvent, Workspace
from tests.storage.rows import COLUMNS, DIGEST, add_head, add_ready_head, add_rows, add_table, publish_head

KEPT = {Workspace.__tablename__, CatalogRevision.__tablename__, Job.__tablename__, JobEvent.__tablename__}


def test__set_columns__next_version__keeps_the_earlier_one(database: Database) -> None:
    rows = add_rows(database)
    changed = [COLUMNS[0] | {"kind": "categorical"}, COLUMNS[1]]
    with database.writing() as uow:
        assert uow.tables.set_columns(rows.table, 2, changed).schema_version == 2
    with database.reading() as uow:
        assert [column.kind for column in uow.tables.columns(rows.table.id)] == ["categorical", "boolean"]
        assert [column.kind for column in uow.tables.columns(rows.table.id, 1)] == ["continuous", "boolean"]
        assert uow.tables.columns(rows.table.id, 3) == []
        assert [column.kind_source for column in uow.tables.columns(rows.table.id)] == [
            "inferred",
            "override",
        ]


@pytest.mark.parametrize("version", [0, 1, 3])
def test__set_columns__not_the_next_version__is_refused(database: Database, version: int) -> None:
    rows = add_rows(database)
    with pytest.raises(Conflict) as refusal, database.writing() as uow:
        uow.tables.set_columns(rows.table, version, COLUMNS)
    assert refusal.value.code == "schema_version_conflict"


def test__set_columns__same_name_twice__leaves_the_earlier_version(database: Database) -> None:
    rows = add_rows(database)
    with pytest.raises(Conflict) as refusal, database.writing() as uow:
        uow.tables.set_columns(rows.table, 2, [*COLUMNS, COLUMNS[0]])
    assert refusal.value.code == "duplicate_column"
    with database.reading() as uow:
        assert len(uow.tables.columns(rows.table.id)) == 2


def test__snapshots__are_numbered_and_current_only_when_ready(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        second = uow.tables.add_snapshot(rows.table, "f" * 64, 3 * 10**9, 10**13, 1.5)
        table = uow.tables.by_name(rows.workspace.id, "customers")
        current = uow.tables.current_snapshot(table)
    assert (second.version, second.num_rows, second.num_bytes) == (2, 3 * 10**9, 10**13)
    assert current is not None
    assert current.id == rows.snapshot.id
    with database.writing() as uow:
        assert uow.tables.mark_ready(rows.table, second).current_snapshot_id == second.id
    with database.reading() as uow, pytest.raises(NotFound):
        uow.tables.snapshot("snp_none")


def test__by_name__other_workspace__is_not_found(database: Database) -> None:
    add_rows(database)
    with database.writing() as uow:
        other = uow.workspaces.get_or_create("other")
        table, snapshot = add_table(uow, other, "products")
        with pytest.raises(NotFound) as refusal:
            uow.tables.by_name(other.id, "customers")
        assert refusal.value.code == "table_not_found"
        assert uow.tables.add(other.id, "customers", {}).name == "customers"
        assert table.id == snapshot.table_id


def test__activate_encoder__not_ready_or_not_its_own__is_refused(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        training = uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None)
        other, _ = add_table(uow, rows.workspace, "products")
        for table, encoder, code in (
            (rows.table, training, "encoder_not_ready"),
            (other, rows.encoder, "encoder_of_another_table"),
        ):
            with pytest.raises(Conflict) as refusal:
                uow.tables.activate_encoder(table, encoder)
            assert refusal.value.code == code
        assert uow.tables.activate_encoder(rows.table, None).active_encoder_id is None


def test__encoder__publish__happens_once(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        encoder = uow.encoders.add(rows.table, rows.snapshot.id, 1, {"kind": "x"}, [{"kind": "m"}], "job_1")
        assert (encoder.version, encoder.status, encoder.objectives) == (2, "pretraining", [{"kind": "m"}])
        ready = uow.encoders.publish(encoder.id, DIGEST, 2**40, {"steps": 3})
        assert (ready.status, ready.num_bytes, ready.report) == ("ready", 2**40, {"steps": 3})
    with pytest.raises(Conflict) as refusal, database.writing() as uow:
        uow.encoders.publish(encoder.id, DIGEST, 1, {})
    assert refusal.value.code == "encoder_not_pretraining"
    with database.writing() as uow:
        uow.encoders.mark_failed(encoder.id, "failed", {"code": "x"})
    with database.reading() as uow:
        assert uow.encoders.by_version(rows.table.id, 2).status == "ready"


def test__encoder__failed__keeps_its_number(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        first = uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None)
        uow.encoders.mark_failed(first.id, "failed", {"code": "out_of_memory"})
        second = uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None)
        assert uow.encoders.mark_failed("enc_gone", "failed", None) is None
    assert (first.version, first.status, second.version) == (2, "failed", 3)
    with pytest.raises(Conflict), database.writing() as uow:
        uow.encoders.publish(first.id, DIGEST, 1, {})


@pytest.mark.parametrize("version", [0, -1, 2, 2**31, 2**63, 10**30])
def test__by_version__none_such__is_not_found(database: Database, version: int) -> None:
    rows = add_rows(database)
    with database.reading() as uow:
        with pytest.raises(NotFound) as refusal:
            uow.encoders.by_version(rows.table.id, version)
        assert refusal.value.code == "encoder_not_found"
        with pytest.raises(NotFound) as refusal:
            uow.heads.by_version(rows.target.id, version)
        assert refusal.value.code == "head_not_found"


def test__add__parent_gone__is_refused(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        with pytest.raises(Conflict) as refusal:
            uow.encoders.add(rows.table, "snp_gone", 1, {}, [], None)
        assert refusal.value.code == "snapshot_missing"
        with pytest.raises(Conflict) as refusal:
            uow.label_sets.add(rows.target, "column", "snp_gone", None, 1, {})
        assert refusal.value.code == "snapshot_missing"
        with pytest.raises(Conflict) as refusal:
            uow.heads.add(rows.target, "linear", {}, "enc_gone", rows.label_set.id, {}, [], False, None)
        assert refusal.value.code == "head_parent_missing"
    with database.writing() as uow:
        uow.tables.delete(rows.table)
    for add in (
        lambda uow: uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None),
        lambda uow: uow.targets.add(rows.table, "x", None, None, None, None, []),
        lambda uow: uow.label_sets.add(rows.target, "column", None, None, 1, {}),
        lambda uow: add_head(uow, rows),
        lambda uow: uow.tables.add_snapshot(rows.table, DIGEST, 1, 1, 0.0),
        lambda uow: uow.tables.mark_ready(rows.table, rows.snapshot),
        lambda uow: uow.heads.publish(rows.head.id, DIGEST, 1, {}, {}, "", {}, "linear"),
    ):
        with pytest.raises(NotFound), database.writing() as uow:
            add(uow)


def test__targets__settle_and_list(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        target = uow.targets.add(rows.table, "by_key", None, None, None, None, [])
        with pytest.raises(Conflict) as refusal:
            uow.targets.add(rows.table, "by_key", "binary", None, None, None, [])
        assert refusal.value.code == "name_taken"
        assert (target.task, target.classes, target.positive) == (None, None, None)
        uow.targets.settle(target, "binary", [False, True], True)
    with database.reading() as uow:
        assert [found.name for found in uow.targets.list(rows.table.id)] == ["by_key", "churn"]
        settled = uow.targets.by_name(rows.table.id, "by_key")
        assert (settled.task, settled.classes, settled.positive) == ("binary", [False, True], True)
        with pytest.raises(NotFound):
            uow.targets.by_name(rows.table.id, "none")


def test__label_sets__latest_is_the_highest_version(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.label_sets.add(rows.target, "keys", None, DIGEST, 5, {"train": 4, "evaluation": 1})
    with database.reading() as uow:
        latest = uow.label_sets.latest(rows.target.id)
        assert latest is not None
        assert (latest.version, latest.source, latest.counts) == (2, "keys", {"train": 4, "evaluation": 1})
        assert [label_set.version for label_set in uow.label_sets.list(rows.target.id)] == [2, 1]
        assert uow.label_sets.latest("tgt_none") is None


def test__head__publish__fills_the_version_once(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        head = add_head(uow, rows, "job_1")
        assert (head.version, head.status, head.kind, head.view) == (2, "training", "auto", ["y"])
        assert publish_head(uow, head).kind == "linear"
    with pytest.raises(Conflict) as refusal, database.writing() as uow:
        publish_head(uow, head)
    assert refusal.value.code == "head_not_training"
    with database.reading() as uow:
        assert [(found.version, found.status) for found in uow.heads.list(rows.target.id)] == [
            (2, "ready"),
            (1, "ready"),
        ]


def test__head__delete__not_while_it_serves_or_trains(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.artifacts.add(rows.workspace.id, DIGEST, 10, rows.head.id)
        uow.aliases.move(rows.target.id, "champion", rows.head, expected_revision=None, actor=None)
        training = add_head(uow, rows)
        for head, code in ((rows.head, "head_in_use"), (training, "head_in_training")):
            with pytest.raises(Conflict) as refusal:
                uow.heads.delete(head)
            assert refusal.value.code == code
    second = add_ready_head(database, rows)
    with database.writing() as uow:
        uow.aliases.move(rows.target.id, "champion", second, expected_revision=None, actor=None)
        assert uow.heads.delete(rows.head) == [DIGEST]
        assert uow.heads.delete(rows.head) == []
        assert uow.heads.mark_failed(rows.head.id, "failed", None) is None
    with database.writing() as uow:
        assert add_head(uow, rows).version == 4


def test__target__delete__takes_heads_and_aliases(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.artifacts.add(rows.workspace.id, DIGEST, 10, rows.head.id)
        uow.artifacts.add(rows.workspace.id, "b" * 64, 10, rows.label_set.id)
        uow.artifacts.add(rows.workspace.id, "b" * 64, 10, rows.snapshot.id)
        uow.aliases.move(rows.target.id, "champion", rows.head, expected_revision=None, actor=None)
    with database.writing() as uow:
        assert uow.targets.delete(rows.target) == [DIGEST]
        assert uow.targets.delete(rows.target) == []
        assert uow.heads.get(rows.head.id) is None
        assert uow.tables.get(rows.table.id) is not None


def test__table__delete__leaves_no_row_but_jobs(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.aliases.move(rows.target.id, "champion", rows.head, expected_revision=None, actor=None)
        for owner in (rows.snapshot, rows.encoder, rows.head, rows.label_set):
            uow.artifacts.add(rows.workspace.id, DIGEST, 10, owner.id)
        uow.jobs.add(rows.workspace.id, "pretrain", {}, rows.encoder.id, rows.table.id)
    with database.writing() as uow:
        assert uow.tables.delete(rows.table) == [DIGEST]
        assert uow.tables.delete(rows.table) == []
    with database.reading() as uow:
        left = {
            name
            for name, table in Base.metadata.tables.items()
            if uow.session.scalar(select(func.count()).select_from(table))
        }
    assert left == KEPT
