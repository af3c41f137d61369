"""Which stored objects are in use, and by what."""

from __future__ import annotations

from sqlalchemy import func, select

from storage.ids import new_id
from storage.orm import Artifact
from storage.repositories.base import Repository


class ArtifactRepository(Repository):
    def add(self, workspace_id: str, digest: str, num_bytes: int, owner_id: str) -> None:
        """Note that `owner_id` uses the object; saying so twice is fine."""
        values = {
            "id": new_id("art"),
            "workspace_id": workspace_id,
            "digest": digest,
            "num_bytes": num_bytes,
            "owner_id": owner_id,
            "created_at": self._now(),
        }
        self._insert_if_absent(Artifact, values)

    def remove_owner(self, owner_id: str) -> list[str]:
        """Drop all references of `owner_id`; returns the digests that nothing refers to any more, sorted.

        Leave the deletion of the objects to `storage.sweep`: another job may be about to use one of them.
        """
        return self._release_artifacts([owner_id])

    def references(self, workspace_id: str, digest: str) -> int:
        """How many owners use the object."""
        query = select(func.count()).where(Artifact.workspace_id == workspace_id, Artifact.digest == digest)
        return int(self._session.scalars(query).one())

    def all_digests(self, workspace_id: str) -> set[str]:
        """Digests in use in the workspace."""
        query = select(Artifact.digest).where(Artifact.workspace_id == workspace_id).distinct()
        return set(self._session.scalars(query))

    def used_bytes(self, workspace_id: str) -> int:
        """Bytes of all objects in use, each counted once."""
        each = (
            select(Artifact.digest, func.max(Artifact.num_bytes).label("num_bytes"))
            .where(Artifact.workspace_id == workspace_id)
            .group_by(Artifact.digest)
            .subquery()
        )
        return int(self._session.scalars(select(func.coalesce(func.sum(each.c.num_bytes), 0))).one())
