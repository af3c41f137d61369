"""Targets, label sets, head versions, aliases and their history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.orm.base import Base, Json, JsonObject


class Target(Base):
    """`task`, `classes` and `positive` stay null for labels by key until the first labels arrive."""

    __tablename__ = "target"
    __table_args__ = (UniqueConstraint("table_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    table_id: Mapped[str] = mapped_column(ForeignKey("table.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    task: Mapped[str | None] = mapped_column(String(20))
    column_name: Mapped[str | None] = mapped_column(Text)
    positive: Mapped[Any | None] = mapped_column(Json)
    classes: Mapped[list[Any] | None] = mapped_column(
        Json
    )  # JSON scalars; for binary the positive class is last
    forbidden_columns: Mapped[list[str]] = mapped_column(Json)
    decision: Mapped[JsonObject | None] = mapped_column(Json)  # how `label` follows from probabilities
    last_head_version: Mapped[int] = mapped_column(default=0)
    last_label_set_version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]


class LabelSet(Base):
    """`source`: column (read from the snapshot) or keys (an immutable Parquet artifact)."""

    __tablename__ = "label_set"
    __table_args__ = (UniqueConstraint("target_id", "version"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    target_id: Mapped[str] = mapped_column(ForeignKey("target.id", ondelete="CASCADE"))
    version: Mapped[int]
    source: Mapped[str] = mapped_column(String(20))
    snapshot_id: Mapped[str | None] = mapped_column(ForeignKey("snapshot.id"))
    digest: Mapped[str | None] = mapped_column(String(64))
    num_labels: Mapped[int] = mapped_column(BigInteger)
    counts: Mapped[JsonObject] = mapped_column(
        Json
    )  # train, evaluation, unmatched, per_class (list aligned to classes)
    created_at: Mapped[float]
    action: Mapped[str] = mapped_column(
        String(20), default="labels", server_default="labels"
    )  # labels, undo, snapshot, erase
    restored_version: Mapped[int | None]  # of an undo: the version whose labels these are


class Head(Base):
    """`status`: training, ready, failed, cancelled. Pinned to encoder, view and label set from the request on."""

    __tablename__ = "head"
    __table_args__ = (UniqueConstraint("target_id", "version"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    target_id: Mapped[str] = mapped_column(ForeignKey("target.id", ondelete="CASCADE"))
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20))
    config: Mapped[JsonObject] = mapped_column(Json)
    encoder_id: Mapped[str] = mapped_column(ForeignKey("encoder.id"))
    label_set_id: Mapped[str] = mapped_column(ForeignKey("label_set.id"))
    labels_request: Mapped[JsonObject] = mapped_column(Json)  # {"limit": null, "seed": 0}
    view: Mapped[list[str]] = mapped_column(Json)  # sorted absent columns
    seen_in_pretraining: Mapped[bool]
    job_id: Mapped[str | None] = mapped_column(String(40))
    manifest_digest: Mapped[str | None] = mapped_column(String(64))
    num_bytes: Mapped[int | None] = mapped_column(BigInteger)
    metrics: Mapped[JsonObject | None] = mapped_column(Json)
    baselines: Mapped[JsonObject | None] = mapped_column(Json)
    verdict: Mapped[str | None] = mapped_column(Text)
    report: Mapped[JsonObject | None] = mapped_column(
        Json
    )  # warnings, strength, fit seconds, comparison with champion
    error: Mapped[JsonObject | None] = mapped_column(Json)
    created_at: Mapped[float]
    ready_at: Mapped[float | None]
    refit_of_id: Mapped[str | None] = mapped_column(String(40))  # the champion it repeats on another encoder


class Alias(Base):
    """`revision` grows with every move and is the ETag."""

    __tablename__ = "alias"
    __table_args__ = (UniqueConstraint("target_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    target_id: Mapped[str] = mapped_column(ForeignKey("target.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    head_id: Mapped[str] = mapped_column(ForeignKey("head.id", ondelete="CASCADE"))
    revision: Mapped[int]
    updated_at: Mapped[float]


class AliasHistory(Base):
    __tablename__ = "alias_history"
    __table_args__ = (Index(None, "target_id", "name", "revision"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    target_id: Mapped[str] = mapped_column(ForeignKey("target.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    revision: Mapped[int]
    head_version: Mapped[int]  # 0 after a removal
    previous_head_version: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(20))  # moved, rolled_back, removed
    actor: Mapped[str | None] = mapped_column(String(40))  # key id, or job id for the gate
    at: Mapped[float]
