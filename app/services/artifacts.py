"""Refer to stored objects, and remove those that nothing refers to any more.

An object is stored before the transaction that refers to it, so somebody may remove it in between: whoever
refers holds deletions off and looks again (see `storage.repositories.artifacts`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.errors import StorageError
from storage.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)


class ObjectGone(Exception):  # not of the error tree: every caller stores the object again
    """The object was removed between being stored and being referred to."""


def refer(
    uow: UnitOfWork, store: ArtifactStore, workspace_id: str, digest: str, num_bytes: int, owner_id: str
) -> None:
    """Note that `owner_id` uses an object that was stored just before. Raises: ObjectGone."""
    uow.artifacts.hold()
    if not store.exists(workspace_id, digest):
        raise ObjectGone
    uow.artifacts.add(workspace_id, digest, num_bytes, owner_id)


def remove_unreferenced(
    database: Database, store: ArtifactStore, workspace_id: str, digests: Collection[str]
) -> int:
    """Remove those of `digests` that nothing refers to; returns how many. What fails is left to the sweep."""
    if not digests:
        return 0
    before = time.time()  # what is stored again from now on is spared
    try:
        with database.writing() as uow:
            unused = uow.artifacts.unreferenced(workspace_id, digests)
            return sum(store.delete(workspace_id, digest, unmodified_since=before) for digest in unused)
    except StorageError as error:
        logger.warning("objects not removed (%s); the sweep will find them", error.code)
        return 0
