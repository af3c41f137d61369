"""Run by Alembic for every command; the connection comes from `storage.migrate`, inside its transaction."""

from __future__ import annotations

from alembic import context

from storage.orm import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit(
        "Migrations run through storage.migrate, which brings the connection and holds the lock."
    )

context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by building it anew
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
