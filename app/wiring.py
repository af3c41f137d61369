"""The one place that knows all parts: settings become a container of open resources and services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from storage import migrate
from storage.artifacts import ArtifactStore
from storage.engine import Database


@dataclass(frozen=True)
class Container:
    """What a process needs to serve or to work; `close` when the process ends."""

    settings: Settings
    database: Database
    store: ArtifactStore

    def close(self) -> None:
        self.database.dispose()


def _private_directory(path: Path) -> None:
    """Make a folder that only its owner can enter, also where it existed with wider permissions."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def build_container(settings: Settings, *, with_serving: bool = True) -> Container:
    """Prepare the home folder, migrate the database, open everything; starts no thread.

    `with_serving` false leaves out the prediction path (a worker has no use for its caches).
    """
    for path in (settings.home, settings.scratch_dir, settings.uploads_dir):
        _private_directory(path)
    migrate.upgrade(settings.database_url)
    database = Database.open(settings.database_url)
    database.check_schema()
    store = settings.artifacts.build()
    return Container(settings=settings, database=database, store=store)
