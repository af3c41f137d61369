"""Which stored objects are in use, and by what.

An object is put into the store before the transaction that refers to it, so a deletion of "unused" objects could
come between. Who refers calls `hold`, checks that the object is still there, then `add`s; who deletes asks
`unreferenced` and deletes in the same unit of work. The two exclude each other: by SQLite's one write lock, on
PostgreSQL by an advisory lock, shared among those who refer.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select, text

from storage.ids import new_id
from storage.orm import Artifact
from storage.repositories.base import Repository, batched

_REFERENCES_LOCK = 0x526F6F74_41727466  # "RootArtf"; see `_EVENTS_LOCK` of the unit of work


class ArtifactRepository(Repository):
    def hold(self) -> None:
        """From here to the end of this writing unit of work nobody deletes objects for want of a reference."""
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.execute(
                text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _REFERENCES_LOCK}
            )

    def unreferenced(self, workspace_id: str, digests: Collection[str]) -> set[str]:
        """Those of `digests` that nothing refers to, nor will before the end of this writing unit of work."""
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _REFERENCES_LOCK})
        unused = set(digests)
        for chunk in batched(sorted(unused), 1_000):
            query = select(Artifact.digest).where(
                Artifact.workspace_id == workspace_id, Artifact.digest.in_(chunk)
            )
            unused.difference_update(self._session.scalars(query))
        return unused

    def add(self, workspace_id: str, digest: str, num_bytes: int, owner_id: str) -> None:
        """Note that `owner_id` uses the object; saying so twice is fine."""
        self.hold()
        values = {
            "id": new_id("art"),
            "workspace_id": workspace_id,
            "digest": digest,
            "num_bytes": num_bytes,
            "owner_id": owner_id,
            "created_at": self._now(),
        }
        self._insert_unless_taken(Artifact, values)

    def share(self, owner_id: str, other_id: str) -> None:
        """Let `other_id` use all that `owner_id` uses."""
        self.hold()
        for artifact in self._session.scalars(select(Artifact).where(Artifact.owner_id == owner_id)).all():
            self.add(artifact.workspace_id, artifact.digest, artifact.num_bytes, other_id)

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
