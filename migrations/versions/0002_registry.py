"""What moves: snapshot modes with their drift, label sets that can be undone, decision rules, refits, paused jobs.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

JSON = sa.Text()  # see storage.orm.base.Json


def _columns() -> list[tuple[str, sa.Column[Any]]]:
    """Table and column; made anew for each use, because a column belongs to one statement."""
    return [
        ("snapshot", sa.Column("mode", sa.String(length=20), nullable=False, server_default="replace")),
        ("snapshot", sa.Column("parent_id", sa.String(length=40), nullable=True)),
        ("snapshot", sa.Column("changes", JSON, nullable=True)),
        ("snapshot", sa.Column("drift", JSON, nullable=True)),
        ("label_set", sa.Column("action", sa.String(length=20), nullable=False, server_default="labels")),
        ("label_set", sa.Column("restored_version", sa.Integer(), nullable=True)),
        ("target", sa.Column("decision", JSON, nullable=True)),
        ("head", sa.Column("refit_of_id", sa.String(length=40), nullable=True)),
        ("job", sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=sa.false())),
        ("job", sa.Column("estimate", JSON, nullable=True)),
    ]


def upgrade() -> None:
    for table, column in _columns():
        op.add_column(table, column)
    op.create_table(
        "worker",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("kinds", JSON, nullable=False),
        sa.Column("device", sa.String(length=20), nullable=False),
        sa.Column("num_slots", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker")),
    )


def downgrade() -> None:
    op.drop_table("worker")
    for table, column in reversed(_columns()):
        op.drop_column(table, column.name)
