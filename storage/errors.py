"""The error tree of `storage`.

    StorageError
    ├── NotFound           no such row in this workspace; `code` names the kind: table_not_found, job_not_found …
    ├── Conflict           the change does not fit what is stored: name_taken, head_in_use, nothing_to_roll_back …
    ├── StaleRevision      the caller's expected revision is not the current one; read again, then retry
    ├── FenceLost          the job was claimed by another worker or is finished; this worker's writes are void
    ├── InvalidValue       a value no database column or JSON document here can hold (NUL, NaN, lone surrogate …)
    │   └── InvalidCursor  a page cursor that this listing did not issue
    ├── ArtifactMissing    no object of that digest in the workspace's store
    ├── ArtifactDamaged    an object whose bytes are not those of its digest, or a manifest that is not one
    ├── StoreUnavailable   the artifact store on other machines cannot be reached or refuses this service
    ├── DatabaseBusy       locked, deadlocked, out of connections or unreachable; the same request may work later
    ├── StorageFull        the disk or quota behind the database or the artifact store is full
    └── SchemaOutOfDate    the database's revision is not the one this version of Rootstock works with

`code` is stable and machine-readable; the message says the rule, what was received and what to do next, and
never contains stored values or secrets.
"""

from __future__ import annotations


class StorageError(Exception):
    """Root of every error raised by `storage`."""

    default_code = "storage_error"

    def __init__(self, message: str, *, code: str | None = None, **details: str | int | float | None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details: dict[str, str | int | float | None] = details


class NotFound(StorageError):
    default_code = "not_found"


class Conflict(StorageError):
    default_code = "conflict"


class StaleRevision(StorageError):
    default_code = "stale_revision"


class FenceLost(StorageError):
    default_code = "fence_lost"


class InvalidValue(StorageError):
    default_code = "invalid_value"


class InvalidCursor(InvalidValue):
    default_code = "invalid_cursor"


class ArtifactMissing(StorageError):
    default_code = "artifact_missing"


class ArtifactDamaged(StorageError):
    default_code = "artifact_damaged"


class StoreUnavailable(StorageError):
    default_code = "store_unavailable"


class DatabaseBusy(StorageError):
    default_code = "database_busy"


class StorageFull(StorageError):
    default_code = "storage_full"


class SchemaOutOfDate(StorageError):
    default_code = "schema_out_of_date"
