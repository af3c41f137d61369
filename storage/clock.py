"""The one clock of all stored times: the database's.

Workers on different machines compare leases, so no process may use its own clock for a stored time.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

# SQLite 3.40 answers NULL to unixepoch('subsec'); julianday has millisecond steps.
# clock_timestamp() moves inside a transaction, unlike now(): a lease must not start before its lock was got.
_CLOCKS = {
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400.0"),
    "postgresql": text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)"),
}


def now(session: Session) -> float:
    """UNIX seconds (UTC) by the database's clock, with at least millisecond resolution."""
    return float(session.execute(_CLOCKS[session.get_bind().dialect.name]).scalar_one())
