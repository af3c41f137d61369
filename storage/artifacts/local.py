"""Artifacts in a local folder: `<root>/<workspace id>/objects/<first two digits>/<digest>`.

A writer fills a file of its own in `<workspace id>/incoming`, syncs it and links it to its name, which fails if
the name exists: an object is there whole or not at all, and is never overwritten in place. A writer holds the
workspace's lock shared while it links; `delete` holds it exclusively, so it cannot take away an object that
somebody has just put again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from storage.artifacts.store import StoredObject, check_digest, check_workspace, sha256_hex
from storage.errors import ArtifactDamaged, ArtifactMissing, StorageError, StorageFull

_CHUNK_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LocalStoreConfig(BaseModel):
    """Objects as files under `root`, which is made (0700) when it is first written to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = "local"
    root: Path

    def build(self) -> LocalStore:
        return LocalStore(self.root)


class LocalStore:
    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self._verified: dict[tuple[str, str], tuple[int, int, int]] = {}

    def put_bytes(self, workspace_id: str, data: bytes) -> str:
        check_workspace(workspace_id)
        with _storage_errors(), self._incoming(workspace_id) as (file, temporary):
            file.write(data)
            return self._keep(workspace_id, file, temporary, sha256_hex(data))

    def put_file(self, workspace_id: str, path: Path) -> str:
        check_workspace(workspace_id)
        hasher = hashlib.sha256()
        with path.open("rb") as source, _storage_errors(), self._incoming(workspace_id) as (file, temporary):
            while chunk := source.read(_CHUNK_BYTES):
                hasher.update(chunk)
                file.write(chunk)
            return self._keep(workspace_id, file, temporary, hasher.hexdigest())

    def get_bytes(self, workspace_id: str, digest: str) -> bytes:
        with self._opened(workspace_id, digest) as file:
            data = file.read()
        if sha256_hex(data) != digest:
            raise _damaged(digest, len(data))
        return data

    def local_path(self, workspace_id: str, digest: str) -> Path:
        path = self._path(workspace_id, digest)
        with self._opened(workspace_id, digest) as file:
            state = os.fstat(file.fileno())
            fingerprint = (state.st_ino, state.st_size, state.st_mtime_ns)
            if self._verified.get((workspace_id, digest)) != fingerprint:
                if _digest_of(file) != digest:
                    raise _damaged(digest, state.st_size)
                self._verified[workspace_id, digest] = fingerprint
        return path

    def exists(self, workspace_id: str, digest: str) -> bool:
        return self._path(workspace_id, digest).is_file()

    def delete(self, workspace_id: str, digest: str, *, unmodified_since: float | None = None) -> bool:
        path = self._path(workspace_id, digest)
        if not path.exists():
            return False
        with _storage_errors(), self._locked(workspace_id, fcntl.LOCK_EX):
            try:
                if unmodified_since is not None and path.stat().st_mtime > unmodified_since:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
            _sync_folder(path.parent)
        self._verified.pop((workspace_id, digest), None)
        return True

    def list(self, workspace_id: str) -> Iterator[StoredObject]:
        objects = self._workspace(workspace_id) / "objects"
        for folder in _entries(objects):
            for name in _entries(objects / folder):
                try:
                    state = (objects / folder / name).stat()
                except FileNotFoundError:
                    continue  # deleted meanwhile
                yield StoredObject(name, state.st_size, state.st_mtime)

    def remove_leftovers(self, workspace_id: str, older_than: float) -> int:
        incoming = self._workspace(workspace_id) / "incoming"
        num_removed = 0
        for name in _entries(incoming):
            try:
                if (incoming / name).stat().st_mtime < older_than:
                    (incoming / name).unlink()
                    num_removed += 1
            except FileNotFoundError:
                continue  # its writer finished
        return num_removed

    def close(self) -> None:
        self._verified.clear()

    def _workspace(self, workspace_id: str) -> Path:
        return self._root / check_workspace(workspace_id)

    def _path(self, workspace_id: str, digest: str) -> Path:
        return self._workspace(workspace_id) / "objects" / check_digest(digest)[:2] / digest

    @contextmanager
    def _incoming(self, workspace_id: str) -> Iterator[tuple[BufferedRandom, Path]]:
        """A new file that is gone afterwards, whatever happens (`_keep` links it to its name first)."""
        folder = self._workspace(workspace_id) / "incoming"
        _make_folder(folder, self._root)
        temporary = folder / secrets.token_hex(16)
        descriptor = os.open(
            temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file, temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _keep(self, workspace_id: str, file: BufferedRandom, temporary: Path, digest: str) -> str:
        """Give the finished file its name; an object that is there and sound stays and becomes young again."""
        file.flush()
        os.fsync(file.fileno())
        path = self._path(workspace_id, digest)
        _make_folder(path.parent, self._root)
        with self._locked(workspace_id, fcntl.LOCK_SH):
            try:
                os.link(temporary, path)
            except FileExistsError:
                if self._is_sound(workspace_id, digest):
                    os.utime(path)
                else:  # heal: readers have the damaged bytes or the right ones, nothing between
                    os.replace(temporary, path)
            _sync_folder(path.parent)
        return digest

    def _is_sound(self, workspace_id: str, digest: str) -> bool:
        try:
            with self._opened(workspace_id, digest) as file:
                return _digest_of(file) == digest
        except StorageError:
            return False

    @contextmanager
    def _opened(self, workspace_id: str, digest: str) -> Iterator[BufferedReader]:
        path = self._path(workspace_id, digest)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ArtifactMissing(
                f"There is no object {digest[:12]}… in the artifact store; restore it from a copy.",
                digest=digest,
            ) from None
        except OSError as error:
            raise ArtifactDamaged(
                f"Object {digest[:12]}… cannot be opened ({os.strerror(error.errno or 0)}).", digest=digest
            ) from None
        with os.fdopen(descriptor, "rb") as file:
            yield file

    @contextmanager
    def _locked(self, workspace_id: str, mode: int) -> Iterator[None]:
        descriptor = os.open(
            self._workspace(workspace_id) / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, mode)
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                "The disk of the artifact store is full; free some space, then try again."
            ) from None
        raise StorageError(
            f"The artifact store cannot be written ({os.strerror(error.errno or 0)}); check its owner and mode.",
            code="artifact_store_unwritable",
        ) from None


def _make_folder(folder: Path, root: Path) -> None:
    """Make `folder` and what is missing above it, 0700 from the root on, and sync the names."""
    if folder.is_dir():
        return
    if folder != root:
        _make_folder(folder.parent, root)
    folder.mkdir(mode=0o700, parents=folder == root, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _digest_of(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(digest: str, num_bytes: int) -> ArtifactDamaged:
    return ArtifactDamaged(
        f"Object {digest[:12]}… ({num_bytes} bytes) is not what was stored; restore it from a copy.",
        digest=digest,
    )
