"""SQLAlchemy engines for the two databases, configured the same way for the service and for migrations.

SQLite: WAL, foreign keys on, a busy timeout, explicit BEGIN (IMMEDIATE for writers, `query_only` for readers),
file mode 0600. PostgreSQL: psycopg 3, timeouts, dead connections noticed before use and dead networks within a
minute. Behind a pooler that lends connections by transaction (PgBouncer), add `?pooler=transaction` to the URL: then
nothing is left on a connection that the next borrower would find.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from storage import translation
from storage.errors import StorageError

LOCK_TIMEOUT_S = 15
IDLE_TIMEOUT_S = (
    300  # a transaction whose process hangs (a store that does not answer) keeps its locks no longer
)
BEGIN_OPTION = "storage_begin"
"""Execution option of a connection: "read" or "write" (the default)."""


def open_engine(url: str, *, pool_size: int | None = None, lock_timeout_s: int = LOCK_TIMEOUT_S) -> Engine:
    """An engine for `url`; `pool_size` None keeps no connections (migrations).

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:password@host/name`.
        pool_size: Connections kept; four times as many are opened when needed.
        lock_timeout_s: How long a statement waits for a lock before it fails with DatabaseBusy.

    Raises:
        StorageError: invalid_database_url, unsupported_database, driver_missing; database_unreadable, when the folder or file of
            an SQLite database cannot be made or opened.
    """
    parsed = _parse(url)
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pool_size is not None:
        pool = {"pool_size": pool_size, "max_overflow": 3 * pool_size, "pool_timeout": lock_timeout_s}
    # Parameters stay out of messages: they hold rows and key hashes.
    settings: dict[str, Any] = {"hide_parameters": True, **pool}
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed)
        engine = create_engine(parsed, connect_args={"timeout": lock_timeout_s}, **settings)
        _listen_sqlite(engine, lock_timeout_s)
    else:
        parsed, is_pooled = _without_pooler(parsed)
        arguments = _postgresql_arguments(lock_timeout_s, is_pooled=is_pooled)
        try:
            engine = create_engine(parsed, pool_pre_ping=True, connect_args=arguments, **settings)
        except ImportError:
            raise StorageError(
                "PostgreSQL needs its driver: pip install 'rootstock[postgres]'.", code="driver_missing"
            ) from None
        if is_pooled:
            _listen_pooled(engine, lock_timeout_s)
    translation.listen(engine)
    return engine


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError(
            f"The database URL ({len(url)} characters) cannot be read; write sqlite:////path/to/file.db or "
            "postgresql://user:password@host/name.",
            code="invalid_database_url",
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
            raise StorageError(
                "SQLite needs a plain file path: sqlite:////path/to/file.db.", code="unsupported_database"
            )
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise StorageError(
        f"The database {backend!r} is not supported; use sqlite or postgresql.", code="unsupported_database"
    )


def _prepare_file(url: URL) -> None:
    """Make the file 0600 before SQLite opens it: its WAL and shared memory inherit the mode.

    A file that is there is never opened here: closing any descriptor of it drops the locks that this process's
    other connections hold on it (https://sqlite.org/howtocorrupt.html, 2.2), and the next process to close the
    database then takes their write-ahead log away.
    """
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode) or not os.access(path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
            if state.st_mode & 0o077 and state.st_uid == os.geteuid():
                path.chmod(0o600)
    except OSError as error:
        raise StorageError(
            f"The database file {path.name!r} cannot be made or opened ({os.strerror(error.errno or 0)}); "
            "check its folder's owner and mode.",
            code="database_unreadable",
        ) from None


def _listen_sqlite(engine: Engine, lock_timeout_s: int) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver must not begin by itself: it would begin deferred, and a read that turns into a write
        # fails at once whatever the busy timeout.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            _use_wal(cursor, lock_timeout_s)
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA trusted_schema = OFF")
            cursor.execute("PRAGMA secure_delete = ON")  # what is deleted or changed is overwritten
        finally:
            cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_reading = connection.get_execution_options().get(BEGIN_OPTION) == "read"
        connection.exec_driver_sql(f"PRAGMA query_only = {int(is_reading)}")
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def _use_wal(cursor: DBAPICursor, lock_timeout_s: int) -> None:
    """Turn on WAL, which the file remembers, unless it is on.

    Two processes that do it to a new file at once may fail with "locked" at once: SQLite does not wait here.
    """
    deadline = time.monotonic() + lock_timeout_s
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                return
            if cursor.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",):
                return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            raise StorageError(
                "The file system of the database cannot hold SQLite's shared memory; use a local disk.",
                code="database_unreadable",
            )


def _without_pooler(url: URL) -> tuple[URL, bool]:
    """The URL as the driver takes it, and whether it asked for `pooler=transaction`."""
    asked = url.query.get("pooler")
    if asked not in (None, "transaction"):
        raise StorageError(
            "In the database URL `pooler` can only be `transaction`.", code="invalid_database_url"
        )
    return url.difference_update_query(["pooler"]), asked is not None


def _postgresql_arguments(lock_timeout_s: int, *, is_pooled: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "application_name": "rootstock",
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,  # ms
    }
    if is_pooled:
        # The pooler refuses start-up options, and a statement prepared on one connection is unknown to the next.
        return {**arguments, "prepare_threshold": None}
    timeouts = _timeouts(lock_timeout_s)
    options = " ".join(f"-c {name}={value}" for name, value in (*timeouts.items(), ("timezone", "UTC")))
    return {**arguments, "options": options}


def _timeouts(lock_timeout_s: int) -> dict[str, int]:
    """Milliseconds."""
    return {
        "lock_timeout": lock_timeout_s * 1000,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_S * 1000,
    }


def _listen_pooled(engine: Engine, lock_timeout_s: int) -> None:
    """The same timeouts, for one transaction at a time."""
    settings = ", ".join(
        f"set_config('{name}', '{value}', true)" for name, value in _timeouts(lock_timeout_s).items()
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {settings}")
