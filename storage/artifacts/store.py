"""The seam of artifact stores: what every kind offers, and the names it accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.errors import StorageError
from storage.ids import is_id

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as listed; `modified_at` is when it was last put (UNIX seconds, the store's clock)."""

    digest: str
    num_bytes: int
    modified_at: float


class ArtifactStore(Protocol):
    """Immutable objects, named by the SHA-256 of their bytes, apart for each workspace.

    Objects are created whole or not at all; putting the same bytes again changes nothing but `modified_at`.
    All methods are safe in threads and processes, and raise StorageError (invalid_artifact_name) for a
    workspace id or digest that is not one. A store on other machines raises StoreUnavailable when it cannot be
    reached or refuses to work, after it has tried again for a while.
    """

    def put_bytes(self, workspace_id: str, data: bytes) -> str:
        """Store `data`; returns its digest. Raises StorageFull."""

    def put_file(self, workspace_id: str, path: Path) -> str:
        """Store a copy of the file's contents; returns its digest. Raises StorageFull."""

    def get_bytes(self, workspace_id: str, digest: str) -> bytes:
        """The object's bytes, verified. Raises ArtifactMissing, ArtifactDamaged."""

    def local_path(self, workspace_id: str, digest: str) -> Path:
        """A file with the object's bytes, verified once, to read only. Raises ArtifactMissing, ArtifactDamaged."""

    def exists(self, workspace_id: str, digest: str) -> bool:
        """Whether there is such an object (its bytes are not verified)."""

    def delete(self, workspace_id: str, digest: str, *, unmodified_since: float | None = None) -> bool:
        """Delete; returns whether something was deleted. Nothing happens if the object is not there.

        `unmodified_since`: spare an object that was put after that time.
        """

    def list(self, workspace_id: str) -> Iterator[StoredObject]:
        """All objects of the workspace, by digest."""

    def remove_leftovers(self, workspace_id: str, older_than: float) -> int:
        """Delete what writers killed before that time (UNIX seconds) left behind; returns how many files."""

    def close(self) -> None:
        """Give back what the store holds in this process; the objects stay where the kind keeps them."""


def check_workspace(workspace_id: str) -> str:
    """`workspace_id`, if it has the form of one. Raises StorageError (invalid_artifact_name)."""
    if not is_id(workspace_id, "ws"):
        raise StorageError(
            f"Artifacts are kept by workspace id (ws_…); received a text of {len(workspace_id)} characters.",
            code="invalid_artifact_name",
        )
    return workspace_id


def check_digest(digest: str) -> str:
    """`digest`, if it is a SHA-256 in lower-case hex. Raises StorageError (invalid_artifact_name)."""
    if not is_digest(digest):
        raise StorageError(
            f"An artifact is named by 64 lower-case hex digits; received a text of {len(digest)} characters.",
            code="invalid_artifact_name",
        )
    return digest


def is_digest(text: str) -> bool:
    """Whether `text` has the form of a digest."""
    return _DIGEST.fullmatch(text) is not None


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data` in lower-case hex."""
    return hashlib.sha256(data).hexdigest()
