"""In the place of time and of the line to the database, for what must not depend on either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from storage.engine import Database
from storage.errors import DatabaseBusy
from storage.unit_of_work import UnitOfWork


class Clock:
    """Seconds that pass only when told."""

    def __init__(self, start: float = 1_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now


class FlakyDatabase(Database):
    """The real database behind a line that can be cut."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._engine)
        self.is_cut = False
        self.num_reads = 0

    @contextmanager
    def reading(self) -> Iterator[UnitOfWork]:
        self.num_reads += 1
        if self.is_cut:
            raise DatabaseBusy("unreachable")
        with super().reading() as uow:
            yield uow
