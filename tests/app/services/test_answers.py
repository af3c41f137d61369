"""Repeating a request makes nothing twice, also when repeats arrive together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, make_once
from storage import migrate
from storage.engine import Database
from storage.unit_of_work import UnitOfWork

REQUEST = RepeatableRequest("key-1", "POST /v1/things", "0" * 64)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/test.db"
    migrate.upgrade(url)
    database = Database.open(url)
    yield database
    database.dispose()


@pytest.fixture
def caller(database: Database) -> Principal:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
    return Principal(workspace.id, workspace.name, "key", frozenset({"admin"}))


def maker(name: str) -> Callable[[UnitOfWork], Answer]:
    return lambda _: Answer(201, {"name": name}, {"Location": f"/v1/things/{name}"})


def test__request__repeated_together__is_made_once(database: Database, caller: Principal) -> None:
    answers: list[Answer] = []

    def make(uow: UnitOfWork) -> Answer:
        table = uow.tables.add(caller.workspace_id, "people", {})
        return Answer(201, {"id": table.id}, {"Location": "/x"})

    def send() -> None:
        answers.append(make_once(database, caller, REQUEST, make))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 8
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum(not answer.is_repeated for answer in answers) == 1
    assert {answer.headers["Location"] for answer in answers} == {"/x"}


@pytest.mark.parametrize(
    "other",
    [
        RepeatableRequest("key-1", "POST /v1/others", "0" * 64),
        RepeatableRequest("key-1", "POST /v1/things", "1" * 64),
    ],
)
def test__key__used_for_another_request__is_refused(
    database: Database, caller: Principal, other: RepeatableRequest
) -> None:
    make_once(database, caller, REQUEST, maker("a"))
    with pytest.raises(InvalidRequest) as refused:
        make_once(database, caller, other, maker("b"))
    assert refused.value.code == "idempotency_mismatch"


def test__request__that_failed__is_not_remembered(database: Database, caller: Principal) -> None:
    def fail(uow: UnitOfWork) -> Answer:
        uow.tables.add(caller.workspace_id, "people", {})
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        make_once(database, caller, REQUEST, fail)
    answer = make_once(database, caller, REQUEST, maker("a"))
    assert not answer.is_repeated
    with database.reading() as uow:
        assert uow.tables.list(caller.workspace_id, 10).items == []


def test__key__of_another_workspace__is_another_key(database: Database, caller: Principal) -> None:
    with database.writing() as uow:
        elsewhere = uow.workspaces.get_or_create("elsewhere")
    stranger = Principal(elsewhere.id, elsewhere.name, "key2", frozenset())
    make_once(database, caller, REQUEST, maker("a"))
    assert not make_once(database, stranger, REQUEST, maker("b")).is_repeated


def test__without_a_key__everything_is_made(database: Database, caller: Principal) -> None:
    for name in ("a", "b"):
        assert make_once(database, caller, None, maker(name)).body == {"name": name}
