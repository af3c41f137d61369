"""Bring a database to this version's schema, and check that it is there.

The history lives in the package `migrations`; no `alembic.ini` is needed. A whole upgrade is one transaction
that holds a lock, so several processes may start at once: one migrates, the others find it done. On SQLite
foreign keys are off meanwhile (a batch rebuild would cascade into children) and checked before the commit.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

import migrations
from storage.connection import open_engine
from storage.errors import SchemaOutOfDate, StorageError
from storage.orm import Base
from storage.translation import translated

_LOCK_TIMEOUT_S = 120  # others wait for the one that migrates
_MIGRATION_LOCK = 0x526F6F74_4D696772  # "RootMigr"


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate up, creating the schema in an empty database; nothing happens if it is there already.

    Raises:
        SchemaOutOfDate: schema_too_new, when the database was written by a newer version.
        StorageError: foreign_keys_broken, after which the database is as before.
        DatabaseBusy: another process has been migrating for two minutes.
    """

    def run(connection: Connection, config: Config) -> None:
        current = _current(connection)
        _refuse_unknown(current)
        if revision != "head" or current != head_revision():
            command.upgrade(config, revision)

    _run(url, run)


def downgrade(url: str, revision: str) -> None:
    """Migrate down to `revision` ("base": drop everything). Data of what is dropped is lost.

    Raises:
        SchemaOutOfDate, StorageError, DatabaseBusy: as `upgrade`.
    """

    def run(connection: Connection, config: Config) -> None:
        _refuse_unknown(_current(connection))
        command.downgrade(config, revision)

    _run(url, run)


def check(url: str) -> None:
    """Check that the database is at the newest revision and that the migrations make what the models say.

    Raises:
        SchemaOutOfDate: see `check_revision`; schema_drift, with the differences.
    """
    with _connected(url) as connection, connection.begin():
        check_revision(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = [str(difference) for difference in compare_metadata(context, Base.metadata)]
    if differences:
        raise SchemaOutOfDate(
            f"Models and migrations differ in {len(differences)} places; add a revision: "
            + "; ".join(differences[:10]),
            code="schema_drift",
        )


def check_revision(connection: Connection) -> None:
    """Check that the database is at the newest revision this version knows.

    Raises:
        SchemaOutOfDate: schema_missing, schema_too_old, schema_too_new, each with what to do.
    """
    current = _current(connection)
    if current is None:
        raise SchemaOutOfDate("The database is empty; upgrade it first.", code="schema_missing")
    _refuse_unknown(current)
    if current != head_revision():
        raise SchemaOutOfDate(
            f"The database is at revision {current}, this version needs {head_revision()}; upgrade it first.",
            code="schema_too_old",
        )


def head_revision() -> str:
    """The newest revision this version knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise StorageError(
            "The package `migrations` holds no revision; install Rootstock again.", code="no_migrations"
        )
    return head


def write_revision(url: str, message: str) -> Path:
    """Write a new revision file from the difference between the models and the database at `url`; for developers.

    Raises:
        SchemaOutOfDate: the database is not at the newest revision.
    """
    made: list[Path] = []

    def run(connection: Connection, config: Config) -> None:
        check_revision(connection)
        number = f"{int(head_revision()) + 1:04d}"
        script = command.revision(config, message, autogenerate=True, rev_id=number)
        scripts = script if isinstance(script, list) else [script]
        made.extend(Path(one.path) for one in scripts if one is not None)

    _run(url, run)
    return made[0]


def _config(connection: Connection | None = None) -> Config:
    config = Config(stdout=io.StringIO())  # Alembic prints; only the CLI may
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_unknown(current: str | None) -> None:
    if current is None:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current not in known:
        raise SchemaOutOfDate(
            f"The database is at revision {current!r}, which this version does not know: a newer Rootstock has "
            "migrated it. Install that version or a newer one, or restore the copy from before the upgrade.",
            code="schema_too_new",
        )


def _run(url: str, run: Callable[[Connection, Config], None]) -> None:
    with _connected(url) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            # SQLite ignores this inside a transaction, so the driver gets it before BEGIN.
            connection.connection.cursor().execute("PRAGMA foreign_keys = OFF").close()
        with connection.begin():  # BEGIN IMMEDIATE: the lock on SQLite
            if not is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            run(connection, _config(connection))
            if is_sqlite:
                _check_foreign_keys(connection)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = open_engine(url, lock_timeout_s=_LOCK_TIMEOUT_S)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise translated(error) from None
    finally:
        engine.dispose()


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        tables = sorted({str(row[0]) for row in broken})
        raise StorageError(
            f"The migration would leave {len(broken)} rows without their parent in {', '.join(tables)}; "
            "nothing was changed. Please report it.",
            code="foreign_keys_broken",
        )
