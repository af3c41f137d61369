"""What every repository has: the session, the database's clock, and the transaction's change log.

A repository never commits. It locks the parent row before it allocates a number or changes a child
(`SELECT … FOR UPDATE`; on SQLite the whole writing transaction already holds the write lock), and works from
ids, so a row that was read in an earlier unit of work may be passed in; the row that is returned is current.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

from storage.clock import now
from storage.errors import NotFound
from storage.orm import Artifact
from storage.orm.base import JsonObject

MAX_VERSION = 2**31 - 1
"""Versions are 32-bit; a larger number from a URL is simply not found."""

RowT = TypeVar("RowT", bound=DeclarativeBase)


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A job event that will be written at the end of the transaction."""

    job_id: str
    type: str
    data: JsonObject
    at: float


@dataclass(slots=True)
class Changes:
    """What the transaction owes at its end (see `UnitOfWork.before_commit`)."""

    is_catalog_changed: bool = False
    events: list[PendingEvent] = field(default_factory=list)


class Repository:
    """Base of all repositories; `session` and `changes` belong to one unit of work."""

    def __init__(self, session: Session, changes: Changes) -> None:
        self._session = session
        self._changes = changes

    def _now(self) -> float:
        return now(self._session)

    def _catalog_changed(self) -> None:
        """Note that this transaction changes what the prediction path sees."""
        self._changes.is_catalog_changed = True

    def _insert_unless_taken(self, kind: type[RowT], values: Mapping[str, object]) -> RowT | None:
        """Insert now and return the row; None if a unique key is taken, which leaves the transaction usable.

        No savepoint: SQLite ends the whole transaction when its disk is full, and rolling back to a savepoint
        that is gone would hide why.
        """
        self._session.flush()
        insert = postgresql.insert if self._session.get_bind().dialect.name == "postgresql" else sqlite.insert
        statement = insert(kind).values(values).on_conflict_do_nothing().returning(kind)
        return self._session.scalars(statement).one_or_none()

    def _lock(self, kind: type[RowT], row_id: str) -> RowT | None:
        """The row as it is now, locked until the end of the transaction; None if it is gone."""
        self._session.flush()
        return self._session.get(kind, row_id, with_for_update=True, populate_existing=True)

    def _lock_or_raise(self, kind: type[RowT], row_id: str) -> RowT:
        row = self._lock(kind, row_id)
        if row is None:
            name = kind.__tablename__
            raise NotFound(
                f"This {name.replace('_', ' ')} does not exist (any more).", code=f"{name}_not_found"
            )
        return row

    def _release_artifacts(self, owner_ids: Sequence[str] | Select[str]) -> list[str]:
        """Drop the references of `owner_ids`; returns the digests that nothing refers to any more, sorted.

        The digests are candidates: another transaction may be about to refer to one of them. Objects are
        deleted by `storage.sweep`, which leaves young ones alone.
        """
        dropped = self._session.execute(
            delete(Artifact)
            .where(Artifact.owner_id.in_(owner_ids))
            .returning(Artifact.workspace_id, Artifact.digest)
            .execution_options(synchronize_session=False)
        ).all()
        digests_of: dict[str, set[str]] = {}
        for workspace_id, digest in dropped:
            digests_of.setdefault(workspace_id, set()).add(digest)
        for workspace_id, digests in digests_of.items():
            for chunk in batched(sorted(digests), 1_000):
                query = select(Artifact.digest).where(
                    Artifact.workspace_id == workspace_id, Artifact.digest.in_(chunk)
                )
                digests.difference_update(self._session.scalars(query))
        return sorted(set().union(*digests_of.values()))

    @staticmethod
    def _not_found(kind: str, name: object) -> NotFound:
        return NotFound(f"There is no {kind} {name!r} here.", code=f"{kind.replace(' ', '_')}_not_found")


def batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`items` in slices of at most `size` (databases cap the number of parameters of one statement)."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
