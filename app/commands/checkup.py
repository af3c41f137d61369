"""What `doctor` looks at; every check is a generator of findings, and only that of the store writes."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.findings import Finding, Health
from app.commands.running_service import RunningService
from app.commands.store_checkup import database_clock, store_works

if TYPE_CHECKING:
    from app.settings import Settings
    from storage.artifacts import ArtifactStore
    from storage.engine import Database

PACKAGES = (
    "torch",
    "polars",
    "lightgbm",
    "sqlalchemy",
    "alembic",
    "fastapi",
    "uvicorn",
    "pydantic",
    "httpx",
    "safetensors",
)
LOW_DISK_BYTES = 2 << 30


def environment() -> Iterator[Finding]:
    """Python, machine, versions of what matters."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding(
        "python",
        Health.FINE,
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {cores} cores",
    )
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, Health.WRONG, "is not installed: run `make setup`")
    yield Finding("packages", Health.FINE, ", ".join(versions))
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("torch", Health.WRONG, f"cannot be imported ({type(error).__name__}): install it again")
        return
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    yield Finding("torch", Health.FINE, f"runs on {device}, {torch.get_num_threads()} threads")


def home_folder(settings: Settings) -> Iterator[Finding]:
    """Folder, permissions, disk, service."""
    home = settings.home
    if not home.is_dir():
        yield Finding("home", Health.NOTE, f"{home} does not exist yet; `rootstock serve` makes it")
        return
    yield _private("home", home, 0o700)
    if settings.admin_key_file.exists():
        yield _private("admin key", settings.admin_key_file, 0o600)
    else:
        yield Finding(
            "admin key",
            Health.NOTE,
            f"no {settings.admin_key_file}; `rootstock keys create NAME --offline` makes a key",
        )
    free = shutil.disk_usage(home).free
    health = (
        Health.FINE
        if free >= LOW_DISK_BYTES
        else Health.NOTE
        if free >= settings.min_free_disk_bytes
        else Health.WRONG
    )
    yield Finding("disk", health, f"{free / 2**30:,.1f} GiB free")
    running = RunningService.find(home)
    yield Finding(
        "service",
        Health.FINE,
        f"runs at {running.url} (process {running.pid})" if running else "does not run",
    )


def _private(name: str, path: Path, wanted: int) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~wanted:
        return Finding(
            name, Health.WRONG, f"{path} is open to others (mode {mode:04o}): chmod {wanted:04o} it"
        )
    if path.stat().st_uid != os.getuid():
        return Finding(name, Health.WRONG, f"{path} belongs to another user")
    return Finding(name, Health.FINE, f"{path} (mode {mode:04o})")


def stored_objects(settings: Settings) -> Iterator[Finding]:
    """The database's revision, the store at work, clocks, and every artifact against its digest."""
    from sqlalchemy import make_url

    from storage.engine import Database
    from storage.errors import StorageError

    url = make_url(settings.database_url)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        yield Finding("database", Health.NOTE, f"{shown} does not exist yet; `rootstock serve` makes it")
        return
    try:
        database = Database.open(settings.database_url)
        try:
            database.check_schema()
            yield Finding("database", Health.FINE, f"{shown} is at this version's revision")
            yield from database_clock(database)
            store = settings.artifacts.build()
            try:
                yield from store_works(store, settings.artifacts.kind)
                yield from _artifacts(database, store)
            finally:
                store.close()
        finally:
            database.dispose()
    except StorageError as error:
        yield Finding("database", Health.WRONG, f"{shown}: {error}")


def _artifacts(database: Database, store: ArtifactStore) -> Iterator[Finding]:
    """Every object that something refers to is there and is what its digest says."""
    from storage.errors import StorageError

    with database.reading() as uow:
        digests = {
            space.id: (space.name, sorted(uow.artifacts.all_digests(space.id)))
            for space in uow.workspaces.list()
        }
    for workspace_id, (name, wanted) in digests.items():
        broken: list[str] = []
        for digest in wanted:
            try:
                store.get_bytes(workspace_id, digest)
            except StorageError as error:
                broken.append(f"{digest[:12]} {error.code}")
        if broken:
            yield Finding(
                f"artifacts of {name}",
                Health.WRONG,
                f"{len(broken)} of {len(wanted)}: {', '.join(broken[:5])}",
            )
        else:
            yield Finding(f"artifacts of {name}", Health.FINE, f"{len(wanted)} objects, each verified")


def migrations_round_trip(folder: Path) -> Iterator[Finding]:
    """A new database goes up, equals the models, goes down to nothing, and up again."""
    from storage import migrate
    from storage.errors import StorageError

    url = f"sqlite:///{folder}/migrations.db"
    steps: dict[str, Callable[[], None]] = {
        "up": lambda: migrate.upgrade(url),
        "equal to the models": lambda: migrate.check(url),
        "down": lambda: migrate.downgrade(url, "base"),
        "up again": lambda: migrate.upgrade(url),
        "equal again": lambda: migrate.check(url),
    }
    for name, step in steps.items():
        try:
            step()
        except StorageError as error:
            yield Finding(f"migrations: {name}", Health.WRONG, str(error))
            return
        yield Finding(f"migrations: {name}", Health.FINE, "")
