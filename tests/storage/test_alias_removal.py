"""Aliases that are removed, moves that are taken back, and who moves at the same time."""

from __future__ import annotations

import threading

import pytest

from storage.engine import Database
from storage.errors import Conflict, NotFound, StaleRevision
from storage.orm import Alias
from storage.repositories.aliases import NOWHERE
from tests.storage.rows import Rows, add_ready_head, add_rows

JOB = "job_1"


def move(
    database: Database, rows: Rows, version: int, *, actor: str = "key_1", name: str = "champion"
) -> Alias:
    with database.writing() as uow:
        head = uow.heads.by_version(rows.target.id, version)
        return uow.aliases.move(rows.target.id, name, head, expected_revision=None, actor=actor)


def remove(database: Database, rows: Rows, expected_revision: int | None = None) -> None:
    with database.writing() as uow:
        uow.aliases.delete(rows.target.id, "champion", "key_1", expected_revision=expected_revision)


def points_at(database: Database, rows: Rows, name: str = "champion") -> int | None:
    with database.reading() as uow:
        alias = uow.aliases.get(rows.target.id, name)
        head = None if alias is None else uow.heads.get(alias.head_id)
    return None if head is None else head.version


def test__delete__of_an_alias__keeps_its_history_and_never_repeats_a_revision(database: Database) -> None:
    rows = add_rows(database)
    move(database, rows, 1)
    with database.reading() as uow:
        before = uow.catalog.revision()
    remove(database, rows, 1)
    assert points_at(database, rows) is None
    with database.reading() as uow:
        assert uow.catalog.revision() > before
    assert move(database, rows, 1).revision == 3
    with database.reading() as uow:
        history = uow.aliases.history(rows.target.id, "champion")
    assert [(one.revision, one.head_version, one.previous_head_version, one.action) for one in history] == [
        (3, 1, None, "moved"),
        (2, NOWHERE, 1, "removed"),
        (1, 1, None, "moved"),
    ]
    with database.writing() as uow, pytest.raises(StaleRevision):
        uow.aliases.delete(rows.target.id, "champion", None, expected_revision=1)


def test__delete__of_what_is_not_there__is_not_found(database: Database) -> None:
    rows = add_rows(database)
    with pytest.raises(NotFound, match="champion"):
        remove(database, rows)


def test__rollback__after_a_removal__does_not_go_beyond_it(database: Database) -> None:
    rows = add_rows(database)
    for _ in range(2):
        add_ready_head(database, rows)
    for version in (1, 2):
        move(database, rows, version)
    remove(database, rows)
    move(database, rows, 3)
    with database.writing() as uow, pytest.raises(Conflict, match="no earlier version"):
        uow.aliases.rollback(rows.target.id, "champion", None)


def test__undo__of_the_last_move__puts_back_or_removes(database: Database) -> None:
    rows = add_rows(database)
    add_ready_head(database, rows)
    move(database, rows, 1)
    move(database, rows, 2, actor=JOB)
    move(database, rows, 2, actor=JOB, name="made-by-it")
    with database.writing() as uow:
        entries = uow.aliases.moved_by(rows.table.id, JOB)
        assert [entry.name for entry in entries] == ["champion", "made-by-it"]
        results = [uow.aliases.undo(entry, "key_1") for entry in entries]
    assert [result is None for result in results] == [False, True]
    assert points_at(database, rows) == 1
    assert points_at(database, rows, "made-by-it") is None


def test__undo__of_what_has_moved_since_or_lost_its_head__is_refused(database: Database) -> None:
    rows = add_rows(database)
    add_ready_head(database, rows)
    move(database, rows, 1)
    move(database, rows, 2, actor=JOB)
    with database.writing() as uow:
        uow.heads.delete(rows.head)
    with database.writing() as uow, pytest.raises(NotFound):
        uow.aliases.undo(uow.aliases.moved_by(rows.table.id, JOB)[0], None)
    add_ready_head(database, rows)
    move(database, rows, 3)
    with database.writing() as uow, pytest.raises(Conflict, match="since"):
        uow.aliases.undo(uow.aliases.moved_by(rows.table.id, JOB)[0], None)
    assert points_at(database, rows) == 3


def test__moved_by__in_another_table__finds_nothing(database: Database) -> None:
    rows = add_rows(database)
    move(database, rows, 1, actor=JOB)
    with database.reading() as uow:
        assert uow.aliases.moved_by("tbl_other", JOB) == []


def test__moves__of_many_at_once_with_conditions__one_wins_each_round(database: Database) -> None:
    rows = add_rows(database)
    for _ in range(2):
        add_ready_head(database, rows)
    move(database, rows, 1)
    outcomes: list[str] = []

    def contender(version: int) -> None:
        try:
            with database.writing() as uow:
                head = uow.heads.by_version(rows.target.id, version)
                uow.aliases.move(
                    rows.target.id, "champion", head, expected_revision=1, actor=f"key_{version}"
                )
            outcomes.append("moved")
        except StaleRevision:
            outcomes.append("stale")

    threads = [threading.Thread(target=contender, args=(2 + number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["moved"] + ["stale"] * 5
    with database.reading() as uow:
        history = uow.aliases.history(rows.target.id, "champion")
    assert [one.revision for one in history] == [2, 1]
    assert history[0].head_version == points_at(database, rows)
