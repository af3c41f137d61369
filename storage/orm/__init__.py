"""All ORM classes; importing this package fills `Base.metadata`."""

from storage.orm.access import ApiKey, Artifact, Audit, CatalogRevision, Idempotency, Workspace
from storage.orm.base import Base
from storage.orm.jobs import Job, JobEvent, WorkerPresence
from storage.orm.tables import Encoder, Snapshot, Table, TableColumn
from storage.orm.targets import Alias, AliasHistory, Head, LabelSet, Target

__all__ = [
    "Alias",
    "AliasHistory",
    "ApiKey",
    "Artifact",
    "Audit",
    "Base",
    "CatalogRevision",
    "Encoder",
    "Head",
    "Idempotency",
    "Job",
    "JobEvent",
    "LabelSet",
    "Snapshot",
    "Table",
    "TableColumn",
    "Target",
    "WorkerPresence",
    "Workspace",
]
