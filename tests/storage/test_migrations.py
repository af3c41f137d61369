"""The history of the schema: up and down with rows in it, drift, rivals, versions from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from storage import migrate
from storage.connection import open_engine
from storage.engine import Database
from storage.errors import SchemaOutOfDate, StorageError
from storage.orm import Base
from tests.storage.rows import add_rows

ALL_REVISIONS = [
    script.revision
    for script in reversed(list(ScriptDirectory.from_config(migrate._config()).walk_revisions()))
]


def tables(url: str) -> set[str]:
    engine = open_engine(url)
    try:
        return set(inspect(engine).get_table_names()) - {"sqlite_sequence"}
    finally:
        engine.dispose()


def execute(url: str, *statements: str) -> None:
    engine: Engine = open_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def counts(url: str) -> dict[str, int]:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = {
            name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one()
            for name in Base.metadata.tables
        }
    engine.dispose()
    return found


def fill(url: str) -> None:
    database = Database.open(url)
    rows = add_rows(database)
    with database.writing() as uow:
        uow.aliases.move(rows.target.id, "champion", rows.head, expected_revision=None, actor=None)
        uow.jobs.add(rows.workspace.id, "pretrain", {}, None, rows.table.id)
        uow.keys.add(rows.workspace.id, "k", b"x" * 32, ["admin"], None, public_id="abc")
        uow.artifacts.add(rows.workspace.id, "a" * 64, 1, rows.head.id)
        uow.audit.add(rows.workspace.id, None, "x", "y")
        uow.idempotency.put(rows.workspace.id, "k", "r", "0" * 64, 200, {}, {})
        uow.workers.announce("w", ["ingest"], device="cpu", num_slots=1, memory_bytes=1)
    database.dispose()


def test__upgrade__empty_database__makes_what_the_models_say(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    migrate.check(empty_url)
    assert tables(empty_url) == {*Base.metadata.tables, "alembic_version"}
    migrate.upgrade(empty_url)  # again: nothing to do
    database = Database.open(empty_url)
    database.check_schema()
    with database.reading() as uow:
        assert uow.catalog.revision() == 0
    database.dispose()


def test__history__each_step_down_and_up__keeps_the_rows_it_can(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    fill(empty_url)
    before = counts(empty_url)
    assert min(before.values()) >= 1
    before["worker"] = 0  # presence: not kept, workers say again that they are there
    for revision in reversed(ALL_REVISIONS[:-1]):
        migrate.downgrade(empty_url, revision)
    migrate.upgrade(empty_url)
    migrate.check(empty_url)
    assert counts(empty_url) == before


def test__downgrade__to_base_with_rows__drops_everything_and_comes_back(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    fill(empty_url)
    migrate.downgrade(empty_url, "base")
    assert tables(empty_url) == {"alembic_version"}
    migrate.upgrade(empty_url)
    migrate.check(empty_url)
    fill(empty_url)


def test__history__is_one_line() -> None:
    assert ALL_REVISIONS[-1] == migrate.head_revision()
    assert [f"{number:04d}" for number in range(1, len(ALL_REVISIONS) + 1)] == ALL_REVISIONS


def test__upgrade__by_many_threads_at_once__migrates_once(empty_url: str) -> None:
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def start() -> None:
        barrier.wait(20)
        try:
            migrate.upgrade(empty_url)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    migrate.check(empty_url)


def test__upgrade__fails_halfway__leaves_the_database_as_it_was(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upgrade_then_fail(config: Config, revision: str) -> None:
        genuine(config, revision)
        raise ArithmeticError

    genuine = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", upgrade_then_fail)
        with pytest.raises(ArithmeticError):
            migrate.upgrade(empty_url)
    assert tables(empty_url) == set()
    migrate.upgrade(empty_url)
    migrate.check(empty_url)


def test__check__database_of_a_newer_version__says_what_to_do(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    try:
        database = Database.open(database_url)
        for refused in (
            database.check_schema,
            lambda: migrate.upgrade(database_url),
            lambda: migrate.downgrade(database_url, "base"),
            lambda: migrate.check(database_url),
        ):
            with pytest.raises(SchemaOutOfDate, match=r"9999.*newer Rootstock.*Install") as refusal:
                refused()
            assert refusal.value.code == "schema_too_new"
        database.dispose()
    finally:
        execute(database_url, f"UPDATE alembic_version SET version_num = '{migrate.head_revision()}'")


def test__check__models_and_migrations_differ__is_drift(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    execute(empty_url, "ALTER TABLE job DROP COLUMN worker", "CREATE INDEX ix_extra ON job (kind)")
    with pytest.raises(SchemaOutOfDate, match="2 places") as refusal:
        migrate.check(empty_url)
    assert refusal.value.code == "schema_drift"


def test__check__empty_database__is_missing(empty_url: str) -> None:
    with pytest.raises(SchemaOutOfDate) as refusal:
        migrate.check(empty_url)
    assert refusal.value.code == "schema_missing"


def test__sqlite__migration_that_loses_parents__is_undone(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    shutil.copy(sqlite_template, path)
    url = f"sqlite:///{path}"
    fill(url)
    before = counts(url)

    def lose_parents(connection: Connection, config: object) -> None:
        connection.execute(text('DELETE FROM "table"'))

    with pytest.raises(StorageError) as refusal:
        migrate._run(url, lose_parents)
    assert refusal.value.code == "foreign_keys_broken"
    assert counts(url) == before


def test__sqlite__batch_rebuild_of_a_parent__keeps_the_children(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """What a later revision will do: with foreign keys on, dropping the old table would cascade."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    path = tmp_path / "x.db"
    shutil.copy(sqlite_template, path)
    url = f"sqlite:///{path}"
    fill(url)
    before = counts(url)

    def rebuild(connection: Connection, config: object) -> None:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("workspace", recreate="always") as batch:
            batch.alter_column("name", nullable=True)

    migrate._run(url, rebuild)
    assert counts(url) == before
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()


def test__upgrade__from_any_folder__needs_no_ini(tmp_path: Path) -> None:
    code = "import sys; from storage import migrate; migrate.upgrade(sys.argv[1]); migrate.check(sys.argv[1])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ALEMBIC")}
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code, f"sqlite:///{tmp_path / 'x.db'}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test__write_revision__after_a_change_of_the_models__writes_the_next_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import migrations

    folder = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrations, "__file__", str(folder / "__init__.py"))
    url = f"sqlite:///{tmp_path / 'x.db'}"
    migrate.upgrade(url)
    execute(url, "CREATE TABLE extra (x INTEGER)")
    path = migrate.write_revision(url, "drop the extra table")
    assert path.name == f"{int(ALL_REVISIONS[-1]) + 1:04d}_drop_the_extra_table.py"
    assert "op.drop_table('extra')" in path.read_text()
    with pytest.raises(SchemaOutOfDate) as refusal:
        migrate.check(url)
    assert refusal.value.code == "schema_too_old"
    migrate.upgrade(url)
    migrate.check(url)
    assert "extra" not in tables(url)
