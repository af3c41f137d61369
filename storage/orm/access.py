"""Who may do what: workspaces, API keys, the audit trail, idempotent requests."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.orm.base import Base, Json, JsonObject


class Workspace(Base):
    __tablename__ = "workspace"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    created_at: Mapped[float]


class ApiKey(Base):
    """`id` is the public part of `rs_<public id>_<secret>`; of the secret only its SHA-256 is kept."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspace.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(63))
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    scopes: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class Idempotency(Base):
    """The stored answer to a POST that carried an `Idempotency-Key`, written with what it made."""

    __tablename__ = "idempotency"

    workspace_id: Mapped[str] = mapped_column(
        ForeignKey("workspace.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    route: Mapped[str] = mapped_column(Text)
    request_sha256: Mapped[str] = mapped_column(String(64))
    status_code: Mapped[int]
    headers: Mapped[JsonObject] = mapped_column(Json)
    body: Mapped[JsonObject] = mapped_column(Json)
    created_at: Mapped[float]


class Audit(Base):
    __tablename__ = "audit"
    __table_args__ = (Index(None, "workspace_id", "at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspace.id", ondelete="CASCADE"))
    key_id: Mapped[str | None] = mapped_column(String(40))
    action: Mapped[str] = mapped_column(String(63))
    subject: Mapped[str] = mapped_column(Text)
    at: Mapped[float]
    details: Mapped[JsonObject] = mapped_column(Json)


class CatalogRevision(Base):
    """One row (id 1), incremented by every transaction that changes what the prediction path may see."""

    __tablename__ = "catalog_revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


class Artifact(Base):
    """A stored object in use by `owner_id` (a snapshot, encoder, head, label set or job)."""

    __tablename__ = "artifact"
    __table_args__ = (UniqueConstraint("workspace_id", "digest", "owner_id"), Index(None, "owner_id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspace.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64))
    num_bytes: Mapped[int] = mapped_column(BigInteger)
    owner_id: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[float]
