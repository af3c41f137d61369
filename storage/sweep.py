"""Remove stored objects that nothing refers to.

An object is first put, then referred to in the transaction that publishes it; between the two it looks unused.
So only objects last put longer ago than a grace period are removed, and the grace period must be longer than
any job works between its first put and its publication. Putting an object again makes it young again, and a
store never deletes an object that was put after the time the sweep looked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from storage.artifacts.store import ArtifactStore, StoredObject
from storage.engine import Database

GRACE_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep removed."""

    num_objects: int
    num_bytes: int
    num_leftovers: int


def find_unreferenced(
    database: Database, store: ArtifactStore, workspace_id: str, *, older_than_s: float = GRACE_S
) -> list[StoredObject]:
    """Objects of the workspace that no row refers to and that were last put longer ago than `older_than_s`."""
    # The store's clock stamps objects, and on a local disk that is this machine's.
    before = time.time() - older_than_s
    # Listed before the references are read: what is referred to meanwhile is seen as referred to.
    candidates = [found for found in store.list(workspace_id) if found.modified_at <= before]
    with database.reading() as uow:
        referenced = uow.artifacts.all_digests(workspace_id)
    return [found for found in candidates if found.digest not in referenced]


def sweep(database: Database, store: ArtifactStore, *, older_than_s: float = GRACE_S) -> SweepReport:
    """Remove unreferenced objects and leftovers of killed writers in all workspaces."""
    with database.reading() as uow:
        workspaces = uow.workspaces.list()
    num_objects = num_bytes = num_leftovers = 0
    for workspace in workspaces:
        before = time.time() - older_than_s
        for found in find_unreferenced(database, store, workspace.id, older_than_s=older_than_s):
            if store.delete(workspace.id, found.digest, unmodified_since=before):
                num_objects += 1
                num_bytes += found.num_bytes
        num_leftovers += store.remove_leftovers(workspace.id, before)
    return SweepReport(num_objects, num_bytes, num_leftovers)
