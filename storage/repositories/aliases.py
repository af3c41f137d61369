"""Aliases: movable names of head versions, with history and rollback."""

from __future__ import annotations

import builtins  # `list` is a method's name here

from sqlalchemy import func, select

from storage.errors import Conflict, StaleRevision
from storage.ids import new_id
from storage.orm import Alias, AliasHistory, Head, Target
from storage.repositories.base import Repository

REMOVED = "removed"
NOWHERE = 0
"""Head version of a removal's history entry: the alias points nowhere."""


class AliasRepository(Repository):
    def get(self, target_id: str, name: str) -> Alias | None:
        query = select(Alias).where(Alias.target_id == target_id, Alias.name == name)
        return self._session.scalars(query.execution_options(populate_existing=True)).one_or_none()

    def list(self, target_id: str) -> builtins.list[Alias]:
        """All aliases of the target, by name."""
        return builtins.list(
            self._session.scalars(select(Alias).where(Alias.target_id == target_id).order_by(Alias.name))
        )

    def move(
        self,
        target_id: str,
        name: str,
        head: Head,
        *,
        expected_revision: int | None,
        actor: str | None,
        action: str = "moved",
    ) -> Alias:
        """Point the alias at `head`, making it if there is none.

        `expected_revision`: None moves in any case; 0 means "there is no such alias yet". An alias that points
        at `head` already is returned unchanged.

        Raises:
            StaleRevision: the alias is at another revision than expected.
            Conflict: head_not_ready; head_of_another_target.
            NotFound: target_not_found, head_not_found.
        """
        self._lock_or_raise(Target, target_id)
        fresh = self._lock_or_raise(Head, head.id)
        if fresh.target_id != target_id:
            raise Conflict("The head belongs to another target.", code="head_of_another_target")
        if fresh.status != "ready":
            raise Conflict(
                f"An alias can point at a ready head only; version {fresh.version} is {fresh.status}.",
                code="head_not_ready",
            )
        alias = self.get(target_id, name)
        self._check_revision(name, alias, expected_revision)
        if alias is not None and alias.head_id == fresh.id:
            return alias
        return self._point(target_id, name, alias, fresh, actor, action)

    def rollback(
        self, target_id: str, name: str, actor: str | None, *, expected_revision: int | None = None
    ) -> Alias:
        """Point the alias at the head it had before its last move; again for the one before that.

        Versions that were deleted meanwhile are passed over.

        Raises:
            NotFound: target_not_found, alias_not_found.
            StaleRevision: the alias is at another revision than expected.
            Conflict: nothing_to_roll_back.
        """
        self._lock_or_raise(Target, target_id)
        alias = self._get_or_raise(target_id, name)
        self._check_revision(name, alias, expected_revision)
        for version in reversed(self._versions_before(target_id, name)):
            query = select(Head).where(
                Head.target_id == target_id, Head.version == version, Head.status == "ready"
            )
            head = self._session.scalars(query).one_or_none()
            if head is not None and head.id != alias.head_id:
                return self._point(target_id, name, alias, head, actor, "rolled_back")
        raise Conflict(
            f"The alias {name!r} has no earlier version to go back to.", code="nothing_to_roll_back"
        )

    def delete(
        self, target_id: str, name: str, actor: str | None, *, expected_revision: int | None = None
    ) -> AliasHistory:
        """Remove the alias; its history stays, with this as the last entry, and its revisions go on where they were.

        Raises:
            NotFound: target_not_found, alias_not_found.
            StaleRevision: the alias is at another revision than expected.
        """
        self._lock_or_raise(Target, target_id)
        alias = self._get_or_raise(target_id, name)
        self._check_revision(name, alias, expected_revision)
        return self._remove(alias, actor)

    def moved_by(self, table_id: str, actor: str) -> builtins.list[AliasHistory]:
        """Moves of aliases of the table's targets that `actor` (a job or a key) made, by target and name."""
        query = (
            select(AliasHistory)
            .join(Target, Target.id == AliasHistory.target_id)
            .where(Target.table_id == table_id, AliasHistory.actor == actor)
        )
        return builtins.list(
            self._session.scalars(
                query.order_by(AliasHistory.target_id, AliasHistory.name, AliasHistory.revision)
            )
        )

    def undo(self, entry: AliasHistory, actor: str | None) -> Alias | None:
        """Take one move back: the alias points where it did before, or is removed (None) where that move made it.

        Raises:
            NotFound: target_not_found; head_not_found, when the version before was deleted.
            Conflict: moved_since, when this was not the alias's last move.
        """
        self._lock_or_raise(Target, entry.target_id)
        alias = self.get(entry.target_id, entry.name)
        if alias is None or alias.revision != entry.revision:
            raise Conflict(f"The alias {entry.name!r} has moved since.", code="moved_since")
        if entry.previous_head_version is None:
            self._remove(alias, actor)
            return None
        query = select(Head).where(
            Head.target_id == entry.target_id,
            Head.version == entry.previous_head_version,
            Head.status == "ready",
        )
        head = self._session.scalars(query).one_or_none()
        if head is None:
            raise self._not_found("head", entry.previous_head_version)
        return self._point(entry.target_id, entry.name, alias, head, actor, "rolled_back")

    def history(self, target_id: str, name: str) -> builtins.list[AliasHistory]:
        """All moves, newest first."""
        query = select(AliasHistory).where(AliasHistory.target_id == target_id, AliasHistory.name == name)
        return builtins.list(self._session.scalars(query.order_by(AliasHistory.revision.desc())))

    def _versions_before(self, target_id: str, name: str) -> builtins.list[int]:
        """Versions the alias would go back to, nearest last: moves push, rollbacks pop to where they went.

        A removed alias starts anew: there is no way back beyond its removal.
        """
        stack: builtins.list[int] = []
        for entry in reversed(self.history(target_id, name)):
            if entry.action == REMOVED:
                stack.clear()
            elif entry.action == "rolled_back":
                while stack and stack[-1] != entry.head_version:
                    stack.pop()
            else:
                stack.append(entry.head_version)
        return stack[:-1]

    def _last_revision(self, target_id: str, name: str) -> int:
        query = select(func.max(AliasHistory.revision))
        found = self._session.scalar(
            query.where(AliasHistory.target_id == target_id, AliasHistory.name == name)
        )
        return found or 0

    def _get_or_raise(self, target_id: str, name: str) -> Alias:
        alias = self.get(target_id, name)
        if alias is None:
            raise self._not_found("alias", name)
        return alias

    def _point(
        self, target_id: str, name: str, alias: Alias | None, head: Head, actor: str | None, action: str
    ) -> Alias:
        previous = None if alias is None else self._session.get(Head, alias.head_id)
        if alias is None:
            # Not from 1 again: an ETag of a removed alias must not fit the one that took its name.
            revision = self._last_revision(target_id, name) + 1
            alias = Alias(
                id=new_id("als"), target_id=target_id, name=name, head_id=head.id, revision=revision,
                updated_at=self._now(),
            )  # fmt: skip
            self._session.add(alias)
        else:
            alias.head_id = head.id
            alias.revision += 1
            alias.updated_at = self._now()
        self._record(alias, head.version, None if previous is None else previous.version, actor, action)
        return alias

    def _remove(self, alias: Alias, actor: str | None) -> AliasHistory:
        head = self._session.get(Head, alias.head_id)
        alias.revision += 1
        alias.updated_at = self._now()
        entry = self._record(alias, NOWHERE, None if head is None else head.version, actor, REMOVED)
        self._session.delete(alias)
        self._session.flush()
        return entry

    def _record(
        self, alias: Alias, version: int, previous: int | None, actor: str | None, action: str
    ) -> AliasHistory:
        entry = AliasHistory(
            id=new_id("als"),
            target_id=alias.target_id,
            name=alias.name,
            revision=alias.revision,
            head_version=version,
            previous_head_version=previous,
            action=action,
            actor=actor,
            at=alias.updated_at,
        )
        self._session.add(entry)
        self._session.flush()
        self._catalog_changed()
        return entry

    @staticmethod
    def _check_revision(name: str, alias: Alias | None, expected: int | None) -> None:
        revision = 0 if alias is None else alias.revision
        if expected is not None and expected != revision:
            raise StaleRevision(
                f"The alias {name!r} is at revision {revision}, not {expected}; read it again.",
                revision=revision,
            )
