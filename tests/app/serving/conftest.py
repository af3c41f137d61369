"""A migrated database per test, and the records in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.serving.predictions import PredictionService
from storage.engine import Database
from tests.app.serving.records import Records, migrated_database
from tests.app.serving.world import World, build_world


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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, empty_database_file: Path) -> Iterator[World]:
    """For tests that only read it."""
    folder = tmp_path_factory.mktemp("world")
    database = Database.open(migrated_database(folder, empty_database_file))
    yield build_world(folder, database)
    database.dispose()


@pytest.fixture
def own_world(tmp_path: Path, database: Database) -> World:
    """For tests that change what is stored."""
    return build_world(tmp_path, database)


@pytest.fixture(scope="module")
def service(world: World) -> Iterator[PredictionService]:
    service = world.service()
    yield service
    service.stop()
