"""`Database` on SQLite: private files, settings of the connection, a full disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.engine import Database
from storage.errors import StorageFull
from tests.storage.rows import workspace_names


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
    assert workspace_names(database) == []
    database.dispose()
