"""Encoders are removed only when nothing needs them any more."""

from __future__ import annotations

import pytest

from storage.engine import Database
from storage.errors import Conflict
from storage.orm import Encoder
from tests.storage.rows import Rows, add_head, add_rows, publish_head

OTHER = "f" * 64


def add_encoder(database: Database, rows: Rows, status: str = "ready") -> Encoder:
    with database.writing() as uow:
        encoder = uow.encoders.add(rows.table, rows.snapshot.id, 1, {"kind": "x"}, [{"kind": "y"}], None)
        if status == "ready":
            encoder = uow.encoders.publish(encoder.id, OTHER, 10, {})
            uow.artifacts.add(rows.workspace.id, OTHER, 10, encoder.id)
        elif status == "failed":
            uow.encoders.mark_failed(encoder.id, "failed", {"code": "x", "message": "y"})
        return encoder


def delete(database: Database, encoder: Encoder) -> list[str]:
    with database.writing() as uow:
        return uow.encoders.delete(encoder)


@pytest.mark.parametrize("status", ["ready", "failed"])
def test__delete__of_an_unused_encoder__removes_it_and_releases_its_objects(
    database: Database, status: str
) -> None:
    rows = add_rows(database)
    encoder = add_encoder(database, rows, status)
    assert delete(database, encoder) == ([OTHER] if status == "ready" else [])
    assert delete(database, encoder) == []
    with database.reading() as uow:
        assert [found.version for found in uow.encoders.list(rows.table.id)] == [1]
    assert add_encoder(database, rows).version == 3


def test__delete__of_the_active_encoder__is_refused(database: Database) -> None:
    rows = add_rows(database)
    with pytest.raises(Conflict, match="active") as caught:
        delete(database, rows.encoder)
    assert caught.value.code == "encoder_in_use"


@pytest.mark.parametrize("published", [True, False])
def test__delete__while_a_head_is_pinned__names_it(database: Database, published: bool) -> None:
    rows = add_rows(database)
    encoder = add_encoder(database, rows)
    with database.writing() as uow:
        uow.tables.activate_encoder(rows.table, encoder)
        if published:  # else the first head alone is pinned to the first encoder
            publish_head(uow, add_head(uow, rows))
    with pytest.raises(Conflict, match="churn:1") as caught:
        delete(database, rows.encoder)
    assert caught.value.code == "encoder_in_use"
    assert caught.value.details["heads"] == ("churn:1, churn:2" if published else "churn:1")


def test__delete__with_failed_heads_only__takes_them_along(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        failed = add_head(uow, rows)
        uow.heads.mark_failed(failed.id, "failed", {"code": "x", "message": "y"})
        uow.heads.delete(rows.head)
        uow.tables.activate_encoder(rows.table, None)
    delete(database, rows.encoder)
    with database.reading() as uow:
        assert uow.heads.list(rows.target.id) == []
        assert uow.encoders.list(rows.table.id) == []


def test__delete__in_pretraining__is_refused(database: Database) -> None:
    rows = add_rows(database)
    with pytest.raises(Conflict) as caught:
        delete(database, add_encoder(database, rows, "pretraining"))
    assert caught.value.code == "encoder_in_pretraining"


def test__pinned__heads_of_a_table__tell_encoder_and_aliases(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        for name in ("champion", "blue"):
            uow.aliases.move(rows.target.id, name, rows.head, expected_revision=None, actor=None)
        add_head(uow, rows)
    with database.reading() as uow:
        found = uow.heads.pinned(rows.table.id)
        assert uow.heads.pinned(rows.table.id, "enc_other") == []
    assert [(head.target, head.version, head.status, head.aliases) for head in found] == [
        ("churn", 1, "ready", ("blue", "champion")),
        ("churn", 2, "training", ()),
    ]
    assert {head.encoder_id for head in found} == {rows.encoder.id}
