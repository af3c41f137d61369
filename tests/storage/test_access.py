"""Workspaces, keys, idempotent answers, the audit trail, ids."""

from __future__ import annotations

import threading

import pytest

from storage.engine import Database
from storage.errors import Conflict, NotFound
from storage.ids import is_id, new_id

SECRET = bytes(range(32))


def test__get_or_create__many_at_once__make_one(database: Database) -> None:
    barrier = threading.Barrier(4)
    found: list[str] = []

    def create() -> None:
        barrier.wait(20)
        with database.writing() as uow:
            found.append(uow.workspaces.get_or_create("default").id)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1
    with database.reading() as uow:
        assert uow.catalog.revision() == 1
        assert uow.workspaces.get_by_name("default").id == found[0]
        with pytest.raises(NotFound):
            uow.workspaces.get_by_name("none")


def test__keys__add_list_revoke(database: Database) -> None:
    with database.writing() as uow:
        workspace, other = uow.workspaces.get_or_create("default"), uow.workspaces.get_or_create("other")
        key = uow.keys.add(workspace.id, "ci", SECRET, {"predict", "admin"}, 1e10, public_id="abc")
        assert (key.scopes, key.secret_sha256, key.revoked_at) == (["admin", "predict"], SECRET, None)
        with pytest.raises(Conflict) as refusal:
            uow.keys.add(other.id, "ci", SECRET, [], None, public_id="abc")
        assert refusal.value.code == "key_exists"
        with pytest.raises(NotFound) as gone:
            uow.keys.revoke(other.id, "abc")
        assert gone.value.code == "key_not_found"
    with database.writing() as uow:
        first = uow.keys.revoke(workspace.id, "abc").revoked_at
    with database.writing() as uow:
        assert uow.keys.revoke(workspace.id, "abc").revoked_at == first
    with database.reading() as uow:
        found = uow.keys.get("abc")
        assert found is not None
        assert found.revoked_at == first
        assert [one.id for one in uow.keys.list(workspace.id)] == ["abc"]
        assert uow.keys.list(other.id) == []


def test__idempotency__second_put__is_a_conflict(database: Database) -> None:
    with database.writing() as uow:
        workspace, other = uow.workspaces.get_or_create("default"), uow.workspaces.get_or_create("other")
        uow.idempotency.put(workspace.id, "k", "POST /v1/tables", "0" * 64, 202, {"Location": "/x"}, {"a": 1})
        uow.idempotency.put(other.id, "k", "POST /v1/tables", "0" * 64, 202, {}, {})
    with pytest.raises(Conflict) as refusal, database.writing() as uow:
        uow.idempotency.put(workspace.id, "k", "POST /v1/tables", "1" * 64, 202, {}, {})
    assert refusal.value.code == "idempotency_key_in_use"
    with database.writing() as uow:
        stored = uow.idempotency.get(workspace.id, "k")
        assert stored is not None
        assert (stored.headers, stored.body, stored.request_sha256) == (
            {"Location": "/x"},
            {"a": 1},
            "0" * 64,
        )
        assert uow.idempotency.purge(3600.0) == 0
        assert uow.idempotency.purge(-1.0) == 2
        assert uow.idempotency.get(workspace.id, "k") is None


def test__idempotency__rivals__one_makes_the_thing(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
    barrier = threading.Barrier(4)
    outcomes: list[str] = []

    def make(number: int) -> None:
        barrier.wait(20)
        try:
            with database.writing() as uow:
                uow.tables.add(workspace.id, f"table-{number}", {})
                uow.idempotency.put(workspace.id, "k", "r", "0" * 64, 201, {}, {})
            outcomes.append("made")
        except Conflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["idempotency_key_in_use"] * 3 + ["made"]
    with database.reading() as uow:
        assert len(uow.tables.list(workspace.id, 10).items) == 1


def test__audit__is_listed_newest_first(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        uow.audit.add(workspace.id, None, "start", "service")
        uow.audit.add(workspace.id, "abc", "table.delete", "tbl_1", {"name": "customers"})
    with database.reading() as uow:
        page = uow.audit.list(workspace.id, limit=1)
        assert [(one.action, one.details) for one in page.items] == [("table.delete", {"name": "customers"})]
        rest = uow.audit.list(workspace.id, limit=1, cursor=page.next_cursor)
    assert [one.action for one in rest.items] == ["start"]
    assert rest.next_cursor is None


def test__new_id__has_its_form_and_sorts_by_time() -> None:
    made = [new_id("tbl") for _ in range(1_000)]
    assert made == sorted(set(made))
    assert all(is_id(one, "tbl") for one in made)
    assert not is_id(made[0], "enc")
    assert not is_id(made[0] + "\n", "tbl")
    assert not is_id(made[0].lower(), "tbl")
