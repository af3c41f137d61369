"""What `doctor` tries on the artifact store and the clocks: the one check that writes, an object it takes away again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.commands.findings import Finding, Health

if TYPE_CHECKING:
    from storage.artifacts import ArtifactStore
    from storage.engine import Database

MAX_SKEW_S = 5.0
WRONG_SKEW_S = 300.0
"""S3 refuses requests signed by a clock further off than a quarter of an hour."""


def store_works(store: ArtifactStore, kind: str) -> Iterator[Finding]:
    """A probe object is written, written again, read, listed and deleted; its time is compared with this machine's."""
    from storage.errors import StorageError
    from storage.ids import new_id

    workspace_id, data = new_id("ws"), secrets.token_bytes(32)  # of no workspace: nobody else lists it
    name = f"{kind} artifact store"
    try:
        before = time.time()
        digest = store.put_bytes(workspace_id, data)
        try:
            store.put_bytes(workspace_id, data)
            is_read = store.get_bytes(workspace_id, digest) == data
            listed = [found for found in store.list(workspace_id) if found.digest == digest]
        finally:
            is_deleted = store.delete(workspace_id, digest)
        took_s = time.time() - before
    except StorageError as error:
        yield Finding(name, Health.WRONG, f"{error.code}: {error}")
        return
    if not (is_read and listed and is_deleted and not store.exists(workspace_id, digest)):
        yield Finding(
            name, Health.WRONG, "an object that was written cannot be read, listed or deleted again"
        )
        return
    yield Finding(name, Health.FINE, f"write, read, list and delete work ({took_s * 1000:,.0f} ms)")
    yield _clock("store's clock", listed[0].modified_at - before)


def database_clock(database: Database) -> Iterator[Finding]:
    """Leases and key expiry go by the database's clock."""
    before = time.time()
    with database.reading() as uow:
        yield _clock("database's clock", uow.now() - before)


def _clock(name: str, skew_s: float) -> Finding:
    off = abs(skew_s)
    health = Health.FINE if off < MAX_SKEW_S else Health.NOTE if off < WRONG_SKEW_S else Health.WRONG
    remedy = "" if health is Health.FINE else ": let both keep time by NTP"
    return Finding(name, health, f"{off:,.1f} s from this machine's{remedy}")
