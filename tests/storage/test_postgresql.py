"""`Database` on PostgreSQL: a server that goes away, a pool that runs out, a pooler in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from app.errors import to_problem
from storage import migrate
from storage.engine import Database
from storage.errors import DatabaseBusy, StorageError
from tests.storage.databases import PostgresServer
from tests.storage.rows import workspace_names


def test__postgresql__server_away__is_busy_without_the_password() -> None:
    database = Database.open("postgresql://user:hunter2@127.0.0.1:1/name")
    with pytest.raises(DatabaseBusy) as refusal, database.reading():
        database.check_schema()
    assert refusal.value.code == "database_unreachable"
    assert "hunter2" not in str(refusal.value)
    database.dispose()


@pytest.fixture
def postgresql_url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.create()
    migrate.upgrade(url)
    yield url
    postgres.drop(url)


def test__postgresql__connections_lost__is_busy_once_and_recovers(
    postgresql_url: str, postgres: PostgresServer
) -> None:
    """As after a restart or failover of the server: idle connections and one in the middle of its transaction."""
    database = Database.open(postgresql_url, pool_size=3)
    end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"

    def interrupted() -> None:
        with database.writing() as uow:
            uow.workspaces.get_or_create("half-made")
            postgres.execute(end_all, postgresql_url)
            uow.workspaces.get_or_create("other half")

    for _ in range(2):
        with pytest.raises(DatabaseBusy) as refusal:
            interrupted()
        problem = to_problem(refusal.value)
        assert problem is not None
        assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})
        assert workspace_names(database) == []
        postgres.execute(end_all, postgresql_url)  # what is idle now is noticed before it is used
        with database.reading() as uow:
            assert uow.now() > 0
    with database.writing() as uow:
        uow.workspaces.get_or_create("made")
    assert workspace_names(database) == ["made"]
    database.dispose()


def test__postgresql__pool_exhausted__is_busy_in_time(postgresql_url: str) -> None:
    database = Database.open(postgresql_url, pool_size=1, lock_timeout_s=1)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(database.reading()).now()
        with pytest.raises(DatabaseBusy) as refusal, database.reading() as uow:
            uow.now()
        assert refusal.value.code == "no_free_connection"
    assert workspace_names(database) == []
    database.dispose()


def test__postgresql__behind_a_pooler__leaves_nothing_on_a_connection(postgresql_url: str) -> None:
    pooled = Database.open(f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}pooler=transaction")
    plain = Database.open(postgresql_url)
    for database in (pooled, plain):
        for _ in range(8):  # psycopg prepares a statement when it sees it the sixth time
            with database.writing() as uow:
                uow.workspaces.get_or_create("default")
                assert uow.session.scalar(text("SHOW lock_timeout")) == "15s"
                assert uow.session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "5min"
    with pooled.writing() as uow:
        assert uow.session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
        uow.session.execute(text("COMMIT"))
        assert uow.session.scalar(text("SHOW lock_timeout")) == "0"
    pooled.dispose()
    plain.dispose()
    with pytest.raises(StorageError) as refusal:
        Database.open("postgresql://host/name?pooler=session")
    assert refusal.value.code == "invalid_database_url"
