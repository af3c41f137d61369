"""What every database must do for `Database`: transactions, isolation, errors, permissions, limits."""

from __future__ import annotations

import math
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from app.errors import to_problem
from storage import migrate
from storage.engine import Database
from storage.errors import Conflict, DatabaseBusy, InvalidValue, SchemaOutOfDate, StorageError, StorageFull
from storage.orm import Workspace
from storage.unit_of_work import UnitOfWork
from tests.storage.claimers import write_and_hang
from tests.storage.databases import PostgresServer
from tests.storage.rows import add_rows, add_table


def names(database: Database) -> list[str]:
    with database.reading() as uow:
        return [workspace.name for workspace in uow.workspaces.list()]


def failing(database: Database, error: BaseException) -> None:
    with database.writing() as uow:
        uow.workspaces.get_or_create("half-made")
        uow.jobs.add(uow.workspaces.get_by_name("half-made").id, "ingest", {}, None, None)
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), Conflict("x")])
def test__writing__any_exception__leaves_nothing(database: Database, error: BaseException) -> None:
    with pytest.raises(type(error)):
        failing(database, error)
    assert names(database) == []
    with database.reading() as uow:
        assert uow.catalog.revision() == 0
        assert uow.jobs.last_event_id() == 0


def test__writing__rows__are_usable_afterwards(database: Database) -> None:
    rows = add_rows(database)
    assert rows.table.name == "customers"
    assert rows.head.metrics == {"auc": {"value": 0.8, "low": 0.7, "high": 0.9}}
    assert rows.target.forbidden_columns == ["age", "zip"]
    with database.reading() as uow:
        table = uow.tables.by_name(rows.workspace.id, "customers")
        columns = uow.tables.columns(table.id)
    assert table.settings == {"split": {"by": "auto"}}
    assert [column.name for column in columns] == ["age", "y"]


def test__reading__concurrent_commit__sees_one_state(database: Database) -> None:
    with database.reading() as uow:
        assert uow.workspaces.list() == []
        with database.writing() as other:
            other.workspaces.get_or_create("new")
        assert uow.workspaces.list() == []
        assert uow.catalog.revision() == 0
    assert names(database) == ["new"]


def test__reading__a_write__is_refused(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-only|cannot be written"), database.reading() as uow:
        uow.session.execute(insert(Workspace).values(id="ws_x", name="x", created_at=0.0))
    assert names(database) == []


def test__reading__a_changed_row__is_refused_aloud(database: Database) -> None:
    rows = add_rows(database)

    def change() -> None:
        with database.reading() as uow:
            uow.tables.by_name(rows.workspace.id, "customers").name = "renamed"

    with pytest.raises(RuntimeError, match="writing"):
        change()


def test__writing__taken_name__is_a_conflict_and_the_transaction_goes_on(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        with pytest.raises(Conflict) as refusal:
            uow.tables.add(rows.workspace.id, "customers", {})
        uow.tables.add(rows.workspace.id, "products", {})
    assert refusal.value.code == "name_taken"
    with database.reading() as uow:
        assert {table.name for table in uow.tables.list(rows.workspace.id, 10).items} == {
            "customers",
            "products",
        }


def test__writing__broken_constraint__is_a_conflict_without_values(database: Database) -> None:
    def insert_twice() -> None:
        with database.writing() as uow:
            for _ in range(2):
                uow.session.execute(insert(Workspace).values(id="ws_secret", name="secret", created_at=0.0))

    with pytest.raises(Conflict) as refusal:
        insert_twice()
    assert "secret" not in str(refusal.value) + str(refusal.value.details)
    assert refusal.value.__suppress_context__
    assert refusal.value.details["constraint"]


def test__writing__process_killed_before_its_commit__leaves_nothing_and_no_lock(
    database: Database, database_url: str
) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=write_and_hang, args=(database_url, theirs), daemon=True)
    process.start()
    assert ours.poll(60)
    assert ours.recv() == "written"
    process.kill()
    process.join(20)
    with database.writing() as uow:  # waits until the server has noticed
        assert uow.workspaces.list() == []
        uow.jobs.add(uow.workspaces.get_or_create("half-made").id, "ingest", {}, None, None)
    with database.reading() as uow:
        assert [event.type for event in uow.jobs.events_since(0)] == ["queued"]


def test__writing__lock_held_too_long__is_busy(database_url: str) -> None:
    holder, waiter = Database.open(database_url), Database.open(database_url, lock_timeout_s=1)
    with holder.writing() as uow:
        table, _ = add_table(uow, uow.workspaces.get_or_create("default"))
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with holder.writing() as uow:
            uow.tables.activate_encoder(table, None)
            is_held.set()
            may_go.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(20)
    with pytest.raises(DatabaseBusy), waiter.writing() as uow:
        uow.tables.activate_encoder(table, None)
    with waiter.reading() as uow:  # readers do not wait
        assert uow.tables.get(table.id) is not None
    may_go.set()
    thread.join(20)
    with waiter.writing() as uow:
        uow.tables.activate_encoder(table, None)
    holder.dispose()
    waiter.dispose()


def test__writing__many_threads_add_versions__numbers_are_dense(database: Database) -> None:
    rows = add_rows(database)

    def add_versions() -> None:
        for _ in range(5):
            with database.writing() as uow:
                uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], None)

    threads = [threading.Thread(target=add_versions) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.reading() as uow:
        versions = [encoder.version for encoder in uow.encoders.list(rows.table.id)]
    assert versions == list(range(21, 0, -1))


def _with_nan(uow: UnitOfWork, workspace_id: str) -> None:
    uow.tables.add(workspace_id, "t", {"number": math.nan})


def _with_infinity(uow: UnitOfWork, workspace_id: str) -> None:
    uow.tables.add(workspace_id, "t", {"nested": [{"number": -math.inf}]})


def _with_unknown_type(uow: UnitOfWork, workspace_id: str) -> None:
    uow.tables.add(workspace_id, "t", {"number": object()})


def _with_surrogate_name(uow: UnitOfWork, workspace_id: str) -> None:
    uow.tables.add(workspace_id, "\ud800", {})


def _with_large_number(uow: UnitOfWork, workspace_id: str) -> None:
    uow.artifacts.add(workspace_id, "a" * 64, 2**80, "tbl_1")


@pytest.mark.parametrize(
    "write",
    [_with_nan, _with_infinity, _with_unknown_type, _with_surrogate_name, _with_large_number],
)
def test__writing__value_no_database_holds__is_invalid(
    database: Database, write: Callable[[UnitOfWork, str], None]
) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
    with pytest.raises(InvalidValue), database.writing() as uow:
        write(uow, workspace.id)
    with database.reading() as uow:
        assert uow.tables.list(workspace.id, 10).items == []


JSON_VALUES = [
    *("", "\x00", "\\u0000", "\ud800", "é\n\t\"'\U0001f600", "01", "1e5"),
    *(0, -1, True, False, 2**63, 10**40),
    *(1.0, -0.0, 0.1 + 0.2, 1e16, 1e23, 1e308, 1e-320),
    *([], {}, {"": None}, {"b": 1, "a": [1, 1.0, True]}),
]


@pytest.mark.parametrize("value", JSON_VALUES)
def test__json__comes_back_exactly(database: Database, value: object) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        uow.targets.settle(rows.target, "binary", [value, "other"], value)
    with database.reading() as uow:
        target = uow.targets.by_name(rows.table.id, "churn")
    assert repr(target.positive) == repr(value)  # the type, the sign of zero, the order of keys
    assert repr(target.classes) == repr([value, "other"])


def test__now__moves_on_and_is_utc(database: Database, tmp_path: Path) -> None:
    (tmp_path / "now").touch()
    with database.writing() as uow:
        first = uow.now()
        while uow.now() == first:
            pass
        assert 0 < uow.now() - first < 5
    assert abs(first - (tmp_path / "now").stat().st_mtime) < 60


def test__check_schema__migrated__passes(database: Database) -> None:
    database.check_schema()


def test__open__without_schema__says_so(empty_url: str) -> None:
    database = Database.open(empty_url)
    with pytest.raises(SchemaOutOfDate) as refusal:
        database.check_schema()
    assert refusal.value.code == "schema_missing"
    with pytest.raises(SchemaOutOfDate), database.reading() as uow:
        uow.workspaces.list()
    database.dispose()


def test__sqlite__files__are_private(tmp_path: Path, sqlite_template: Path) -> None:
    folder = tmp_path / "home" / "of"
    old_mask = os.umask(0)
    try:
        database = Database.open(f"sqlite:///{folder / 'new.db'}")
        with database.writing() as uow:
            uow.session.execute(text("CREATE TABLE t (x)"))
    finally:
        os.umask(old_mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    database.dispose()


def test__sqlite__loose_file__is_made_private(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "loose.db"
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o644)
    Database.open(f"sqlite:///{path}").dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test__sqlite__pragmas__are_set(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'x.db'}", lock_timeout_s=7)
    with database.reading() as uow:
        found = {
            name: uow.session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous", "query_only")
        }
    with database.writing() as uow:
        assert uow.session.execute(text("PRAGMA query_only")).scalar_one() == 0
    assert found == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 7_000,
        "synchronous": 2,
        "query_only": 1,
    }
    database.dispose()


def test__sqlite__disk_full__is_storage_full_and_leaves_nothing(
    tmp_path: Path, sqlite_template: Path
) -> None:
    path = tmp_path / "full.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}")

    def fill() -> None:
        with database.writing() as uow:
            uow.session.execute(text("PRAGMA max_page_count = 1"))  # SQLite holds it at the present size
            workspace = uow.workspaces.get_or_create("default")
            uow.tables.add(workspace.id, "large", {"text": "x" * 1_000_000})

    with pytest.raises(StorageFull):
        fill()
    assert names(database) == []
    database.dispose()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("not a url", "invalid_database_url"),
        ("mysql://host/name", "unsupported_database"),
        ("sqlite://", "unsupported_database"),
        ("sqlite:///:memory:", "unsupported_database"),
        ("sqlite:///file:x.db?uri=true", "unsupported_database"),
        ("sqlite:////proc/none/x.db", "database_unreadable"),
    ],
)
def test__open__unusable_url__says_why(url: str, code: str) -> None:
    with pytest.raises(StorageError) as refusal:
        Database.open(url)
    assert refusal.value.code == code


def test__open__file_that_is_no_database__says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 100)
    database = Database.open(f"sqlite:///{path}")
    with pytest.raises(StorageError) as refusal:
        database.check_schema()
    assert refusal.value.code == "database_damaged"
    database.dispose()


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
        assert names(database) == []
        postgres.execute(end_all, postgresql_url)  # what is idle now is noticed before it is used
        with database.reading() as uow:
            assert uow.now() > 0
    with database.writing() as uow:
        uow.workspaces.get_or_create("made")
    assert names(database) == ["made"]
    database.dispose()


def test__postgresql__pool_exhausted__is_busy_in_time(postgresql_url: str) -> None:
    database = Database.open(postgresql_url, pool_size=1, lock_timeout_s=1)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(database.reading()).now()
        with pytest.raises(DatabaseBusy) as refusal, database.reading() as uow:
            uow.now()
        assert refusal.value.code == "no_free_connection"
    assert names(database) == []
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
