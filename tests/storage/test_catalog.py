"""The prediction path's view: complete, consistent, cheap; and no change without a new revision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from storage.engine import Database
from storage.repositories.catalog import CatalogColumn
from storage.unit_of_work import UnitOfWork
from tests.storage.rows import COLUMNS, DIGEST, Rows, add_head, add_ready_head, add_rows, publish_head

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Change = Callable[[UnitOfWork, Rows], object]


def revision(database: Database) -> int:
    with database.reading() as uow:
        return uow.catalog.revision()


def test__load__holds_what_predictions_need(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.keys.add(rows.workspace.id, "live", b"\x01" * 32, ["predict"], 5.0, public_id="live")
        uow.keys.add(rows.workspace.id, "old", b"\x02" * 32, ["predict"], None, public_id="old")
        uow.keys.revoke(rows.workspace.id, "old")
        uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None)
        add_head(uow, rows)
        uow.tables.add(rows.workspace.id, "registering", {})
        uow.aliases.move(rows.target.id, "champion", rows.head, expected_revision=0, actor=None)
    with database.reading() as uow:
        catalog = uow.catalog.load()
        assert catalog.revision == uow.catalog.revision()
        assert 0 <= uow.now() - catalog.at < 60
    assert [workspace.name for workspace in catalog.workspaces] == ["default"]
    (key,) = catalog.keys
    assert (key.id, key.secret_sha256, key.scopes, key.expires_at) == (
        "live",
        b"\x01" * 32,
        frozenset({"predict"}),
        5.0,
    )
    table, registering = catalog.tables
    assert (table.name, table.status, table.snapshot_digest) == ("customers", "ready", DIGEST)
    assert table.columns == (
        CatalogColumn("age", "continuous", "feature", "integer"),
        CatalogColumn("y", "boolean", "target", "string"),
    )
    assert table.active_encoder_id == rows.encoder.id
    assert (registering.status, registering.columns, registering.snapshot_id) == ("registering", (), None)
    (encoder,) = catalog.encoders
    assert (encoder.id, encoder.version, encoder.num_bytes) == (rows.encoder.id, 1, 10)
    assert (encoder.manifest_digest, encoder.snapshot_digest) == (DIGEST, DIGEST)
    (target,) = catalog.targets
    assert (target.name, target.task, target.classes, target.positive) == (
        "churn",
        "binary",
        ("No", "Yes"),
        "Yes",
    )
    assert target.forbidden_columns == ("age", "zip")
    (head,) = catalog.heads
    assert (head.id, head.version, head.kind, head.view, head.encoder_id) == (
        *(rows.head.id, 1, "linear", ("y",)),
        rows.encoder.id,
    )
    (alias,) = catalog.aliases
    assert (alias.name, alias.head_id, alias.revision) == ("champion", rows.head.id, 1)


def test__load__entries__are_frozen_and_plain(database: Database) -> None:
    add_rows(database)
    with database.reading() as uow:
        catalog = uow.catalog.load()
    hash(catalog.tables)
    entries: list[DataclassInstance] = [catalog, *catalog.tables, *catalog.heads]
    for entry in entries:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(entry, dataclasses.fields(entry)[0].name, "x")


def test__load__number_of_queries__does_not_grow_with_the_rows(database: Database) -> None:
    def count() -> int:
        statements: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        event.listen(database._engine, "after_cursor_execute", note)
        try:
            with database.reading() as uow:
                uow.catalog.load()
        finally:
            event.remove(database._engine, "after_cursor_execute", note)
        return sum(statement.startswith("SELECT") for statement in statements)

    few = count()
    for name in ("default", "second", "third"):
        rows = add_rows(database, name)
        add_ready_head(database, rows)
    assert count() == few == 10


CHANGES: dict[str, Change] = {
    "workspace": lambda uow, rows: uow.workspaces.get_or_create("new"),
    "key": lambda uow, rows: uow.keys.add(rows.workspace.id, "k", b"", [], None, public_id="new"),
    "revoke": lambda uow, rows: uow.keys.revoke(rows.workspace.id, "key"),
    "table": lambda uow, rows: uow.tables.add(rows.workspace.id, "new", {}),
    "columns": lambda uow, rows: uow.tables.set_columns(rows.table, 2, COLUMNS),
    "snapshot": lambda uow, rows: uow.tables.mark_ready(rows.table, rows.snapshot),
    "no active encoder": lambda uow, rows: uow.tables.activate_encoder(rows.table, None),
    "encoder": lambda uow, rows: uow.encoders.publish(
        uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None).id, DIGEST, 1, {}
    ),
    "target": lambda uow, rows: uow.targets.add(rows.table, "new", None, None, None, None, []),
    "settled target": lambda uow, rows: uow.targets.settle(rows.target, "multiclass", [1, 2, 3], None),
    "head": lambda uow, rows: publish_head(uow, add_head(uow, rows)),
    "alias": lambda uow, rows: uow.aliases.move(
        rows.target.id, "new", rows.head, expected_revision=None, actor=None
    ),
    "deleted head": lambda uow, rows: uow.heads.delete(rows.head),
    "deleted target": lambda uow, rows: uow.targets.delete(rows.target),
    "deleted table": lambda uow, rows: uow.tables.delete(rows.table),
    "bump": lambda uow, rows: uow.catalog.bump(),
}

NO_CHANGES: dict[str, Change] = {
    "job": lambda uow, rows: uow.jobs.add(rows.workspace.id, "pretrain", {}, None, None),
    "audit": lambda uow, rows: uow.audit.add(rows.workspace.id, None, "x", "y"),
    "training head": add_head,
    "pretraining encoder": lambda uow, rows: uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None),
    "labels": lambda uow, rows: uow.label_sets.add(rows.target, "keys", None, None, 1, {}),
    "known workspace": lambda uow, rows: uow.workspaces.get_or_create("default"),
    "artifact": lambda uow, rows: uow.artifacts.add(rows.workspace.id, "b" * 64, 1, "tbl_1"),
}


@pytest.mark.parametrize("name", [*CHANGES, *NO_CHANGES])
def test__revision__grows_by_one_with_each_change_it_counts(database: Database, name: str) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.keys.add(rows.workspace.id, "k", b"", [], None, public_id="key")
    before = revision(database)
    with database.writing() as uow:
        (CHANGES | NO_CHANGES)[name](uow, rows)
    assert revision(database) == before + (name in CHANGES)


def test__revision__rolled_back__stays(database: Database) -> None:
    before = revision(database)

    def add_and_fail() -> None:
        with database.writing() as uow:
            uow.workspaces.get_or_create("new")
            uow.before_commit()
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        add_and_fail()
    assert revision(database) == before


def test__revision__cancelled_registration__is_counted(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        table = uow.tables.add(workspace.id, "t", {})
        job = uow.jobs.add(workspace.id, "ingest", {}, table.id, table.id)
    before = revision(database)
    with database.writing() as uow:
        uow.jobs.request_cancel(workspace.id, job.id)
    assert revision(database) == before + 1
