"""Say that a worker is there, so that users see why a job waits; no job depends on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from storage.engine import Database

ANNOUNCE_S = 10.0


@dataclass(frozen=True)
class Presence:
    """`name` goes into the database and to users: it names no host."""

    name: str
    kinds: Collection[str]
    device: str
    num_slots: int
    memory_bytes: int

    def announce(self, database: Database) -> None:
        """Raises: StorageError."""
        with database.writing() as uow:
            uow.workers.announce(
                self.name,
                self.kinds,
                device=self.device,
                num_slots=self.num_slots,
                memory_bytes=self.memory_bytes,
            )

    def leave(self, database: Database) -> None:
        """Raises: StorageError."""
        with database.writing() as uow:
            uow.workers.leave(self.name)
