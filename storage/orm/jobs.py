"""The jobs table: queue and truth; and its append-only log."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from storage.orm.base import Base, Json, JsonObject


class Job(Base):
    """`status`: queued, running, paused, succeeded, failed, cancelled.

    `fence` grows with every claim; a worker's write carries the fence it claimed with and changes nothing
    once another claim has been made. `subject_id` is the table, encoder or (first) head being made.
    """

    __tablename__ = "job"
    __table_args__ = (Index(None, "status", "created_at"), Index(None, "workspace_id", "created_at"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspace.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    subject_id: Mapped[str | None] = mapped_column(String(40))
    table_id: Mapped[str | None] = mapped_column(String(40), index=True)
    payload: Mapped[JsonObject] = mapped_column(Json)
    progress_step: Mapped[int] = mapped_column(BigInteger, default=0)
    progress_total: Mapped[int] = mapped_column(BigInteger, default=0)
    progress_message: Mapped[str] = mapped_column(Text, default="")
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    fence: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(80))
    lease_until: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    pause_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    estimate: Mapped[JsonObject | None] = mapped_column(
        Json
    )  # {"seconds", "memory_bytes", "disk_bytes", "basis"}
    error: Mapped[JsonObject | None] = mapped_column(Json)
    result: Mapped[JsonObject | None] = mapped_column(Json)
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class JobEvent(Base):
    """Append-only. `sequence` counts from 1 within its job; `id` grows in the order of commits over all jobs."""

    __tablename__ = "job_event"
    # AUTOINCREMENT: an id is never used again, so a reader that remembers the last id it saw misses nothing.
    __table_args__ = (UniqueConstraint("job_id", "sequence"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    sequence: Mapped[int]
    at: Mapped[float]
    type: Mapped[str] = mapped_column(
        String(40)
    )  # queued claimed progress checkpoint retried pause_requested paused resumed cancel_requested cancelled succeeded failed
    data: Mapped[JsonObject] = mapped_column(Json)


class WorkerPresence(Base):
    """A worker that said not long ago that it takes jobs of `kinds`; no part of any job's correctness.

    `name` is chosen by the worker and names no host. `memory_bytes` is what it allows one job.
    """

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    kinds: Mapped[list[str]] = mapped_column(Json)
    device: Mapped[str] = mapped_column(String(20))
    num_slots: Mapped[int]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[float]
    seen_at: Mapped[float]
