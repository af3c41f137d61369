"""Aliases: revisions, history, rollback."""

from __future__ import annotations

import threading

import pytest

from storage.engine import Database
from storage.errors import Conflict, NotFound, StaleRevision
from storage.orm import Alias, Head
from tests.storage.rows import Rows, add_head, add_ready_head, add_rows


def move(database: Database, rows: Rows, head: Head, expected_revision: int | None = None) -> Alias:
    with database.writing() as uow:
        return uow.aliases.move(
            rows.target.id, "champion", head, expected_revision=expected_revision, actor="key_1"
        )


def rollback(database: Database, rows: Rows, expected_revision: int | None = None) -> int:
    """Returns the version the alias points at afterwards."""
    with database.writing() as uow:
        alias = uow.aliases.rollback(rows.target.id, "champion", "key_1", expected_revision=expected_revision)
        head = uow.heads.get(alias.head_id)
    assert head is not None
    return head.version


def test__move__each_time__raises_the_revision_and_is_in_the_history(database: Database) -> None:
    rows = add_rows(database)
    second = add_ready_head(database, rows)
    assert move(database, rows, rows.head, 0).revision == 1
    assert move(database, rows, second, 1).revision == 2
    with database.reading() as uow:
        history = uow.aliases.history(rows.target.id, "champion")
        alias = uow.aliases.get(rows.target.id, "champion")
        assert [found.name for found in uow.aliases.list(rows.target.id)] == ["champion"]
    assert alias is not None
    assert alias.head_id == second.id
    assert [(one.revision, one.head_version, one.previous_head_version, one.action) for one in history] == [
        (2, 2, 1, "moved"),
        (1, 1, None, "moved"),
    ]


def test__move__to_where_it_points__changes_nothing(database: Database) -> None:
    rows = add_rows(database)
    move(database, rows, rows.head)
    with database.reading() as uow:
        before = uow.catalog.revision()
    assert move(database, rows, rows.head, 1).revision == 1
    with database.reading() as uow:
        assert len(uow.aliases.history(rows.target.id, "champion")) == 1
        assert uow.catalog.revision() == before


@pytest.mark.parametrize("expected", [0, 2, -1, 10**30])
def test__move__unexpected_revision__is_stale(database: Database, expected: int) -> None:
    rows = add_rows(database)
    move(database, rows, rows.head)
    second = add_ready_head(database, rows)
    with pytest.raises(StaleRevision):
        move(database, rows, second, expected)
    with pytest.raises(StaleRevision):
        rollback(database, rows, expected)


def test__move__expecting_an_alias_that_is_not_there__is_stale(database: Database) -> None:
    rows = add_rows(database)
    with pytest.raises(StaleRevision):
        move(database, rows, rows.head, 1)


def test__move__head_not_ready_or_of_another_target__is_refused(database: Database) -> None:
    rows, other = add_rows(database), add_rows(database, "other")
    with database.writing() as uow:
        training = add_head(uow, rows)
    for head, code in ((training, "head_not_ready"), (other.head, "head_of_another_target")):
        with pytest.raises(Conflict) as refusal:
            move(database, rows, head)
        assert refusal.value.code == code


def test__rollback__goes_back_move_by_move(database: Database) -> None:
    rows = add_rows(database)
    heads = [rows.head, *(add_ready_head(database, rows) for _ in range(3))]
    for head in heads[:3]:
        move(database, rows, head)
    assert rollback(database, rows) == 2
    assert rollback(database, rows) == 1
    with pytest.raises(Conflict) as refusal:
        rollback(database, rows)
    assert refusal.value.code == "nothing_to_roll_back"
    move(database, rows, heads[3])
    assert rollback(database, rows) == 1
    with database.reading() as uow:
        actions = [one.action for one in uow.aliases.history(rows.target.id, "champion")]
    assert actions == ["rolled_back", "moved", "rolled_back", "rolled_back", "moved", "moved", "moved"]


def test__rollback__to_and_fro__retraces_the_moves(database: Database) -> None:
    rows = add_rows(database)
    second = add_ready_head(database, rows)
    for head in (rows.head, second, rows.head, second):
        move(database, rows, head)
    assert [rollback(database, rows) for _ in range(3)] == [1, 2, 1]


def test__rollback__earlier_version_deleted__goes_to_the_one_before(database: Database) -> None:
    rows = add_rows(database)
    second, third = add_ready_head(database, rows), add_ready_head(database, rows)
    for head in (rows.head, second, third):
        move(database, rows, head)
    with database.writing() as uow:
        uow.heads.delete(second)
    assert rollback(database, rows) == 1


def test__rollback__no_such_alias__is_not_found(database: Database) -> None:
    rows = add_rows(database)
    with pytest.raises(NotFound) as refusal:
        rollback(database, rows)
    assert refusal.value.code == "alias_not_found"


def test__move__rivals_with_one_expected_revision__one_wins(database: Database) -> None:
    rows = add_rows(database)
    heads = [add_ready_head(database, rows) for _ in range(4)]
    move(database, rows, rows.head)
    barrier = threading.Barrier(4)
    outcomes: list[str] = []

    def compete(head: Head) -> None:
        barrier.wait(20)
        try:
            move(database, rows, head, 1)
            outcomes.append("moved")
        except StaleRevision:
            outcomes.append("stale")

    threads = [threading.Thread(target=compete, args=(head,)) for head in heads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["moved", "stale", "stale", "stale"]
