"""Registered tables, their columns (per schema version), snapshots and encoders."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.orm.base import Base, Json, JsonObject


class Table(Base):
    """`status`: registering, ready. A registration that fails removes the row, so the name is free again."""

    __tablename__ = "table"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspace.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    status: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[float]
    settings: Mapped[JsonObject] = mapped_column(
        Json
    )  # {"split": {...}, "evaluation_fraction": 0.1, "reading": {...}}
    schema_version: Mapped[int] = mapped_column(default=0)
    last_snapshot_version: Mapped[int] = mapped_column(default=0)
    last_encoder_version: Mapped[int] = mapped_column(default=0)
    current_snapshot_id: Mapped[str | None] = mapped_column(String(40))
    active_encoder_id: Mapped[str | None] = mapped_column(String(40))


class TableColumn(Base):
    __tablename__ = "table_column"
    __table_args__ = (UniqueConstraint("table_id", "schema_version", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    table_id: Mapped[str] = mapped_column(ForeignKey("table.id", ondelete="CASCADE"))
    schema_version: Mapped[int]
    position: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(20))
    role: Mapped[str] = mapped_column(String(20))
    storage_type: Mapped[str] = mapped_column(String(20))
    evidence: Mapped[str] = mapped_column(Text)
    kind_source: Mapped[str] = mapped_column(String(20))


class Snapshot(Base):
    """An immutable version of a table's rows: a bundle of `rows.parquet`, `schema.json`, `profile.json`."""

    __tablename__ = "snapshot"
    __table_args__ = (UniqueConstraint("table_id", "version"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    table_id: Mapped[str] = mapped_column(ForeignKey("table.id", ondelete="CASCADE"))
    version: Mapped[int]
    manifest_digest: Mapped[str] = mapped_column(String(64))
    num_rows: Mapped[int] = mapped_column(BigInteger)
    num_bytes: Mapped[int] = mapped_column(BigInteger)
    as_of: Mapped[float]
    created_at: Mapped[float]
    mode: Mapped[str] = mapped_column(
        String(20), default="replace", server_default="replace"
    )  # replace, append, upsert, restore
    parent_id: Mapped[str | None] = mapped_column(String(40))  # the snapshot it was made from
    changes: Mapped[JsonObject | None] = mapped_column(Json)  # {"added", "updated", "unchanged", "removed"}
    drift: Mapped[JsonObject | None] = mapped_column(Json)  # against the snapshot before


class Encoder(Base):
    """`status`: pretraining, ready, failed, cancelled. A failed version keeps its number."""

    __tablename__ = "encoder"
    __table_args__ = (UniqueConstraint("table_id", "version"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    table_id: Mapped[str] = mapped_column(ForeignKey("table.id", ondelete="CASCADE"))
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(20))
    snapshot_id: Mapped[str] = mapped_column(ForeignKey("snapshot.id"))
    schema_version: Mapped[int]
    architecture: Mapped[JsonObject] = mapped_column(Json)
    objectives: Mapped[list[JsonObject]] = mapped_column(Json)
    job_id: Mapped[str | None] = mapped_column(String(40))
    manifest_digest: Mapped[str | None] = mapped_column(String(64))
    num_bytes: Mapped[int | None] = mapped_column(BigInteger)
    report: Mapped[JsonObject | None] = mapped_column(Json)
    error: Mapped[JsonObject | None] = mapped_column(Json)
    created_at: Mapped[float]
    ready_at: Mapped[float | None]
