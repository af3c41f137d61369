"""What every database must do for `Database`: transactions, isolation, errors, permissions, limits."""

from __future__ import annotations

import math
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from storage.engine import Database
from storage.errors import Conflict, DatabaseBusy, InvalidValue, SchemaOutOfDate, StorageError
from storage.orm import Workspace
from storage.unit_of_work import UnitOfWork
from tests.storage.claimers import write_and_hang
from tests.storage.rows import add_rows, add_table, workspace_names


def failing(database: Database, error: BaseException) -> None:
    with database.writing() as uow:
        uow.workspaces.get_or_create("half-made")
        uow.jobs.add(uow.workspaces.get_by_name("half-made").id, "ingest", {}, None, None)
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), Conflict("x")])
def test__writing__any_exception__leaves_nothing(database: Database, error: BaseException) -> None:
    with pytest.raises(type(error)):
        failing(database, error)
    assert workspace_names(database) == []
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
    assert workspace_names(database) == ["new"]


def test__reading__a_write__is_refused(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-only|cannot be written"), database.reading() as uow:
        uow.session.execute(insert(Workspace).values(id="ws_x", name="x", created_at=0.0))
    assert workspace_names(database) == []


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
