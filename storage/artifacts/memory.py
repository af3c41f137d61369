"""Artifacts in this process's memory: the twin for tests and throw-away runs."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from storage.artifacts.store import StoredObject, check_digest, check_workspace, sha256_hex
from storage.errors import ArtifactDamaged, ArtifactMissing


class MemoryStoreConfig(BaseModel):
    """Every `build` makes a store of its own, empty; its objects end with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["memory"] = "memory"

    def build(self) -> MemoryStore:
        return MemoryStore()


class MemoryStore:
    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], tuple[bytes, float]] = {}
        self._lock = threading.Lock()
        self._folder: Path | None = None  # for local_path, made when first asked for

    def put_bytes(self, workspace_id: str, data: bytes) -> str:
        check_workspace(workspace_id)
        digest = sha256_hex(data)
        with self._lock:
            self._objects[workspace_id, digest] = (bytes(data), time.time())
        return digest

    def put_file(self, workspace_id: str, path: Path) -> str:
        check_workspace(workspace_id)
        return self.put_bytes(workspace_id, path.read_bytes())

    def get_bytes(self, workspace_id: str, digest: str) -> bytes:
        with self._lock:
            found = self._objects.get(_name(workspace_id, digest))
        if found is None:
            raise ArtifactMissing(f"There is no object {digest[:12]}… in the artifact store.", digest=digest)
        if sha256_hex(found[0]) != digest:
            raise ArtifactDamaged(f"Object {digest[:12]}… is not what was stored.", digest=digest)
        return found[0]

    def local_path(self, workspace_id: str, digest: str) -> Path:
        data = self.get_bytes(workspace_id, digest)
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="rootstock-artifacts-"))
            path = self._folder / f"{workspace_id}-{digest}"
            if not path.exists():
                path.touch(mode=0o600)
                path.write_bytes(data)
        return path

    def exists(self, workspace_id: str, digest: str) -> bool:
        return _name(workspace_id, digest) in self._objects

    def delete(self, workspace_id: str, digest: str, *, unmodified_since: float | None = None) -> bool:
        name = _name(workspace_id, digest)
        with self._lock:
            found = self._objects.get(name)
            if found is None or (unmodified_since is not None and found[1] > unmodified_since):
                return False
            del self._objects[name]
            if self._folder is not None:
                (self._folder / f"{workspace_id}-{digest}").unlink(missing_ok=True)
        return True

    def list(self, workspace_id: str) -> Iterator[StoredObject]:
        check_workspace(workspace_id)
        with self._lock:
            objects = sorted(self._objects.items())
        for (owner, digest), (data, modified_at) in objects:
            if owner == workspace_id:
                yield StoredObject(digest, len(data), modified_at)

    def remove_leftovers(self, workspace_id: str, older_than: float) -> int:
        check_workspace(workspace_id)
        return 0  # a dict knows no half-written object

    def close(self) -> None:
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None


def _name(workspace_id: str, digest: str) -> tuple[str, str]:
    return check_workspace(workspace_id), check_digest(digest)
