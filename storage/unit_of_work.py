"""One transaction and the repositories that work in it."""

from __future__ import annotations

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from storage.clock import now
from storage.orm import JobEvent
from storage.repositories.aliases import AliasRepository
from storage.repositories.artifacts import ArtifactRepository
from storage.repositories.audit import AuditRepository
from storage.repositories.base import Changes, batched
from storage.repositories.catalog import CatalogRepository
from storage.repositories.encoders import EncoderRepository
from storage.repositories.erasures import ErasureRepository
from storage.repositories.heads import HeadRepository
from storage.repositories.idempotency import IdempotencyRepository
from storage.repositories.jobs import JobRepository
from storage.repositories.keys import KeyRepository
from storage.repositories.label_sets import LabelSetRepository
from storage.repositories.tables import TableRepository
from storage.repositories.targets import TargetRepository
from storage.repositories.workers import WorkerRepository
from storage.repositories.workspaces import WorkspaceRepository

_EVENTS_LOCK = (
    0x526F6F74_4A6F6273  # "RootJobs"; any constant that no other advisory lock of the database uses
)


class UnitOfWork:
    """Opened by `Database.reading()` and `Database.writing()`, which end it; rows stay usable afterwards."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._changes = Changes()
        self.has_changed_catalog = False  # whether its commit shows on the prediction path
        self.workspaces = WorkspaceRepository(session, self._changes)
        self.keys = KeyRepository(session, self._changes)
        self.tables = TableRepository(session, self._changes)
        self.encoders = EncoderRepository(session, self._changes)
        self.targets = TargetRepository(session, self._changes)
        self.label_sets = LabelSetRepository(session, self._changes)
        self.heads = HeadRepository(session, self._changes)
        self.aliases = AliasRepository(session, self._changes)
        self.jobs = JobRepository(session, self._changes)
        self.workers = WorkerRepository(session, self._changes)
        self.artifacts = ArtifactRepository(session, self._changes)
        self.idempotency = IdempotencyRepository(session, self._changes)
        self.audit = AuditRepository(session, self._changes)
        self.erasures = ErasureRepository(session, self._changes)
        self.catalog = CatalogRepository(session, self._changes)

    def now(self) -> float:
        """UNIX seconds by the database's clock."""
        return now(self.session)

    def before_commit(self) -> None:
        """Write what the transaction owes; `Database.writing` calls it once, last.

        Both writes take a lock that all writers share. Taken here, always in this order, they are held for
        moments and cannot deadlock with the row locks that repositories take.
        """
        self.session.flush()
        if self._changes.events:
            self._write_events()
            self._changes.events.clear()
        if self._changes.is_catalog_changed:
            self.catalog.write_revision()
            self._changes.is_catalog_changed = False
            self.has_changed_catalog = True

    def _write_events(self) -> None:
        """Number and insert the events.

        PostgreSQL draws ids before it commits, so without the lock a reader could see id 10, remember it, and
        never see id 9 of a slower transaction. The job rows are locked by now, so sequences have no rival.
        """
        if self.session.get_bind().dialect.name == "postgresql":
            self.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _EVENTS_LOCK})
        sequences: dict[str, int] = {}
        for chunk in batched(sorted({event.job_id for event in self._changes.events}), 1_000):
            query = select(JobEvent.job_id, func.max(JobEvent.sequence)).where(JobEvent.job_id.in_(chunk))
            sequences.update(
                (job_id, last) for job_id, last in self.session.execute(query.group_by(JobEvent.job_id))
            )
        rows = []
        for event in self._changes.events:
            sequences[event.job_id] = sequences.get(event.job_id, 0) + 1
            rows.append(
                {
                    "job_id": event.job_id,
                    "sequence": sequences[event.job_id],
                    "at": event.at,
                    "type": event.type,
                    "data": event.data,
                }
            )
        self.session.execute(insert(JobEvent), rows)
