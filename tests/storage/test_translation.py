"""Driver errors become storage errors by their codes, and never carry values."""

from __future__ import annotations

import sqlite3
import sys

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from storage.engine import Database
from storage.errors import Conflict, DatabaseBusy, InvalidValue, SchemaOutOfDate, StorageError, StorageFull
from storage.translation import translate, translated


def of(original: Exception) -> DBAPIError:
    return OperationalError("SELECT secret", {"x": "secret"}, original)


def of_sqlite(name: str, message: str = "secret") -> DBAPIError:
    original = sqlite3.OperationalError(message)
    original.sqlite_errorname = name
    return of(original)


@pytest.mark.parametrize(
    ("error", "expected", "code"),
    [
        (of(pg.DiskFull("secret")), StorageFull, "storage_full"),
        (of(pg.DeadlockDetected("secret")), DatabaseBusy, "database_busy"),
        (of(pg.SerializationFailure("secret")), DatabaseBusy, "database_busy"),
        (of(pg.LockNotAvailable("secret")), DatabaseBusy, "database_busy"),
        (of(pg.TooManyConnections("secret")), DatabaseBusy, "database_busy"),
        (of(pg.AdminShutdown("secret")), DatabaseBusy, "database_busy"),
        (of(psycopg.OperationalError("secret")), DatabaseBusy, "database_unreachable"),
        (of(pg.ConnectionFailure("secret")), DatabaseBusy, "database_unreachable"),
        (of(pg.UndefinedTable("secret")), SchemaOutOfDate, "schema_out_of_date"),
        (of_sqlite("SQLITE_BUSY"), DatabaseBusy, "database_busy"),
        (of_sqlite("SQLITE_BUSY_SNAPSHOT"), DatabaseBusy, "database_busy"),
        (of_sqlite("SQLITE_LOCKED"), DatabaseBusy, "database_busy"),
        (of_sqlite("SQLITE_FULL"), StorageFull, "storage_full"),
        (of_sqlite("SQLITE_CANTOPEN"), StorageError, "database_unreadable"),
        (of_sqlite("SQLITE_CORRUPT_INDEX"), StorageError, "database_damaged"),
        (of_sqlite("SQLITE_ERROR", "no such table: secret"), SchemaOutOfDate, "schema_out_of_date"),
        (PoolTimeout("secret"), DatabaseBusy, "no_free_connection"),
        (IntegrityError("secret", {}, sqlite3.IntegrityError("secret")), Conflict, "conflict"),
        (StatementError("secret", "secret", {}, ValueError("secret")), InvalidValue, "invalid_value"),
    ],
)
def test__translate__driver_error__by_its_code(
    error: Exception, expected: type[StorageError], code: str
) -> None:
    found = translate(error)
    assert type(found) is expected
    assert found.code == code
    assert "secret" not in f"{found} {found.details}"


@pytest.mark.parametrize(
    "error", [of(pg.SyntaxError("x")), of_sqlite("SQLITE_ERROR"), of_sqlite("SQLITE_MISUSE")]
)
def test__translated__fault_of_this_program__stays_what_it_is(error: DBAPIError) -> None:
    assert translate(error) is None
    assert translated(error) is error


def test__database_error__message__hides_parameters(database: Database) -> None:
    from sqlalchemy import text

    with pytest.raises(DBAPIError) as refusal, database.writing() as uow:
        uow.session.execute(text("SELECT nonsense(:x)"), {"x": "secret"})
    assert "secret" not in str(refusal.value)


def test__open__postgresql_without_its_driver__says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match="pip install") as refusal:
        Database.open("postgresql://host/name")
    assert refusal.value.code == "driver_missing"
