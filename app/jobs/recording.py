"""Remember what a job stores, so that what it never publishes can be removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from storage.artifacts import ArtifactStore, StoredObject

_JOURNAL = "stored-digests"
_DIGEST_CHARS = 64


class RecordingStore:
    """An artifact store that writes the digest of every object it is given to a journal in `scratch`.

    A process killed between storing and noting leaves an object that only the periodic sweep finds.
    """

    def __init__(self, store: ArtifactStore, scratch: Path) -> None:
        self._store = store
        self._journal = scratch / _JOURNAL

    def put_bytes(self, workspace_id: str, data: bytes) -> str:
        return self._noted(self._store.put_bytes(workspace_id, data))

    def put_file(self, workspace_id: str, path: Path) -> str:
        return self._noted(self._store.put_file(workspace_id, path))

    def get_bytes(self, workspace_id: str, digest: str) -> bytes:
        return self._store.get_bytes(workspace_id, digest)

    def local_path(self, workspace_id: str, digest: str) -> Path:
        return self._store.local_path(workspace_id, digest)

    def exists(self, workspace_id: str, digest: str) -> bool:
        return self._store.exists(workspace_id, digest)

    def delete(self, workspace_id: str, digest: str, *, unmodified_since: float | None = None) -> bool:
        return self._store.delete(workspace_id, digest, unmodified_since=unmodified_since)

    def list(self, workspace_id: str) -> Iterator[StoredObject]:
        return self._store.list(workspace_id)

    def remove_leftovers(self, workspace_id: str, older_than: float) -> int:
        return self._store.remove_leftovers(workspace_id, older_than)

    def close(self) -> None:
        self._store.close()

    def _noted(self, digest: str) -> str:
        with self._journal.open("a") as journal:
            journal.write(f"{digest}\n")
        return digest


def stored_digests(scratch: Path) -> set[str]:
    """Digests that attempts of a job have stored, from the journal in its scratch folder."""
    try:
        lines = (scratch / _JOURNAL).read_text().splitlines()
    except FileNotFoundError:
        return set()
    return {line for line in lines if len(line) == _DIGEST_CHARS}  # the last line may be torn
