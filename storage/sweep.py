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
_BATCH = 100  # deletions while the write lock is held


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
    removed: list[StoredObject] = []
    num_leftovers = 0
    for workspace in workspaces:
        before = time.time() - older_than_s
        found = find_unreferenced(database, store, workspace.id, older_than_s=older_than_s)
        for start in range(0, len(found), _BATCH):
            removed.extend(_remove(database, store, workspace.id, found[start : start + _BATCH], before))
        num_leftovers += store.remove_leftovers(workspace.id, before)
    return SweepReport(len(removed), sum(one.num_bytes for one in removed), num_leftovers)


def _remove(
    database: Database, store: ArtifactStore, workspace_id: str, found: list[StoredObject], before: float
) -> list[StoredObject]:
    # In a writing unit of work: a transaction that refers to one of them comes before it or sees it gone.
    with database.writing() as uow:
        unused = uow.artifacts.unreferenced(workspace_id, [one.digest for one in found])
        return [
            one
            for one in found
            if one.digest in unused and store.delete(workspace_id, one.digest, unmodified_since=before)
        ]
