"""From database errors to the tree of `storage.errors`.

Messages of drivers quote values ("Key (name)=(…) already exists"), so only classes, codes and names of
constraints pass on.
"""

from __future__ import annotations

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from storage.errors import Conflict, DatabaseBusy, InvalidValue, SchemaOutOfDate, StorageError, StorageFull

_BUSY = "The database is busy; the same request may work in a moment."
_FULL = "The disk of the database is full; free some space, then try again."
_INVALID = "A value cannot be stored (NUL, NaN, a lone surrogate, or a number out of range)."

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_BUSY = {"40001", "40P01", "55P03", "57014", "53300", "57P01", "57P02", "57P03", "25P03"}
_POSTGRESQL_FULL = {"53100"}
_POSTGRESQL_NO_SCHEMA = {"42P01", "42703"}


def translate(error: Exception) -> StorageError | None:
    """The storage error that says what `error` means to a caller; None for a fault of this program."""
    match error:
        case PoolTimeout():
            return DatabaseBusy(_BUSY, code="no_free_connection")
        case IntegrityError():
            return Conflict("The change does not fit what is stored.", constraint=_constraint(error))
        case DataError():
            return InvalidValue(_INVALID)
        case DBAPIError():
            return (
                _translate_sqlite(error) if _sqlite_name(error) is not None else _translate_postgresql(error)
            )
        case StatementError() if isinstance(error.orig, (ValueError, TypeError)):
            return InvalidValue(_INVALID)
    return None


def listen(engine: Engine) -> None:
    """Translate what drivers raise outside their own error classes, which SQLAlchemy passes on unwrapped."""

    @event.listens_for(engine, "handle_error", retval=True)
    def on_error(context: ExceptionContext) -> BaseException | None:
        # sqlite3: an integer over 64 bits; both drivers: a lone surrogate
        if isinstance(context.original_exception, (OverflowError, UnicodeEncodeError)):
            return InvalidValue(_INVALID)
        return None


def translated(error: SQLAlchemyError) -> Exception:
    """`translate(error)`, or the error itself."""
    return translate(error) or error


def _translate_sqlite(error: DBAPIError) -> StorageError | None:
    name = _sqlite_name(error) or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseBusy(
            "Another process held the write lock too long; the same request may work in a moment."
        )
    if name.startswith("SQLITE_FULL"):
        return StorageFull(_FULL)
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StorageError(
            "The database file is damaged or not a database; restore it from a copy.", code="database_damaged"
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return StorageError(
            "The database file cannot be written; check its owner and mode.", code="database_unreadable"
        )
    if name == "SQLITE_ERROR" and str(error.orig).startswith(("no such table", "no such column")):
        return _no_schema()
    return None


def _translate_postgresql(error: DBAPIError) -> StorageError | None:
    state = getattr(error.orig, "sqlstate", None)
    if state in _POSTGRESQL_FULL:
        return StorageFull(_FULL)
    if state in _POSTGRESQL_BUSY:
        return DatabaseBusy(_BUSY)
    if state in _POSTGRESQL_NO_SCHEMA:
        return _no_schema()
    if (
        error.connection_invalidated
        or (state is None and type(error).__name__ == "OperationalError")
        or (isinstance(state, str) and state.startswith("08"))
    ):
        return DatabaseBusy(
            "The database cannot be reached; try again in a moment.", code="database_unreachable"
        )
    return None


def _no_schema() -> SchemaOutOfDate:
    return SchemaOutOfDate("A table or column is missing; upgrade the database, then start again.")


def _sqlite_name(error: DBAPIError) -> str | None:
    name = getattr(error.orig, "sqlite_errorname", None)
    return name if isinstance(name, str) else None


def _constraint(error: IntegrityError) -> str | None:
    """The constraint (PostgreSQL) or the columns (SQLite: "UNIQUE constraint failed: table.name")."""
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None:
        return str(diagnostics.constraint_name)
    return str(error.orig).partition("failed: ")[2] or None
