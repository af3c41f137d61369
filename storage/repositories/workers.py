"""Which workers there are, by their own word a moment ago: for users who wonder why a job waits, never for claims."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Collection

from sqlalchemy import delete, select

from storage.orm import WorkerPresence
from storage.repositories.base import Repository

ALIVE_S = 60.0
"""A worker not seen for so long is taken for gone; it says that it is there every few seconds."""
FORGOTTEN_S = 86_400.0


class WorkerRepository(Repository):
    def announce(
        self, name: str, kinds: Collection[str], *, device: str, num_slots: int, memory_bytes: int
    ) -> WorkerPresence:
        """Note that the worker is there; the first time, and then every few seconds."""
        at = self._now()
        row = self._session.get(WorkerPresence, name)
        if row is None:
            row = WorkerPresence(name=name, started_at=at)
            self._session.add(row)
        row.kinds = sorted(kinds)
        row.device = device
        row.num_slots = num_slots
        row.memory_bytes = memory_bytes
        row.seen_at = at
        self._session.flush()
        return row

    def leave(self, name: str) -> None:
        """The worker stops in order."""
        self._session.execute(delete(WorkerPresence).where(WorkerPresence.name == name))

    def list(self) -> builtins.list[WorkerPresence]:
        """Workers that are there now, by name."""
        query = select(WorkerPresence).where(WorkerPresence.seen_at > self._now() - ALIVE_S)
        return builtins.list(self._session.scalars(query.order_by(WorkerPresence.name)))

    def forget(self) -> None:
        """Drop those that died long ago without a word."""
        before = self._now() - FORGOTTEN_S
        self._session.execute(delete(WorkerPresence).where(WorkerPresence.seen_at < before))
