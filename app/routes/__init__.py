"""All routes: public ones, and those behind a key.

A router joins `KEYED` and is closed to callers without a key; nothing is open unless it stands in `PUBLIC`.
"""

from app.routes import (
    aliases,
    encoders,
    erasures,
    heads,
    jobs,
    keys,
    labels,
    predict,
    probes,
    rollbacks,
    snapshots,
    sources,
    tables,
    targets,
)

PUBLIC = (probes.public_router,)
KEYED = (probes.router,)
KEYED_V1 = (
    tables.router,
    snapshots.router,
    erasures.router,
    sources.router,
    encoders.router,
    targets.router,
    labels.router,
    heads.router,
    aliases.router,
    rollbacks.router,
    predict.router,
    jobs.router,
    jobs.workers_router,
    keys.router,
)
