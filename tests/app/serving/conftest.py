"""A migrated database per test, and the records in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.engine import Database
from tests.app.serving.records import Records, migrated_database


@pytest.fixture(scope="session")
def empty_database_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    migrated_database(folder)
    return folder / "rootstock.db"


@pytest.fixture
def database(tmp_path: Path, empty_database_file: Path) -> Iterator[Database]:
    database = Database.open(migrated_database(tmp_path, empty_database_file))
    yield database
    database.dispose()


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database)
