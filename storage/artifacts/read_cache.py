"""Copies of remote objects on the local disk: `<root>/<workspace id>/<digest>`.

Shared by all processes of a home. A copy gets its name when it is complete and is what its digest says, and each
process checks it again before its first use. The least recently used copies go when there are more bytes than the
budget, but none that was handed out within `KEEP_S`: callers open a path after they got it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.artifacts.store import is_digest, sha256_hex
from storage.errors import StorageError, StorageFull

KEEP_S = 900.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_INCOMING = "incoming"

Fingerprint = tuple[int, int, int]


class ReadCache:
    """`root` None: a folder of its own, which ends with `close`."""

    def __init__(self, root: Path | None, max_bytes: int) -> None:
        self._given = None if root is None else root.expanduser().absolute()
        self._own: Path | None = None
        self._max_bytes = max_bytes
        self._verified: dict[tuple[str, str], Fingerprint] = {}
        self._lock = threading.Lock()

    def find(self, workspace_id: str, digest: str) -> Path | None:
        """The copy, verified; None where there is none or it is not what its digest says."""
        path = self._root() / workspace_id / digest
        with _opened(path) as descriptor:
            if descriptor is None:
                return None
            state = os.fstat(descriptor)
            fingerprint = _fingerprint(state)
            if self._verified.get((workspace_id, digest)) != fingerprint:
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                        return None
                self._verified[workspace_id, digest] = fingerprint
            # Only the access time: the time of modification is part of the fingerprint.
            os.utime(descriptor, ns=(time.time_ns(), state.st_mtime_ns))
        return path

    def read(self, workspace_id: str, digest: str) -> bytes | None:
        """The copy's bytes, verified; None as `find`."""
        with _opened(self._root() / workspace_id / digest) as descriptor:
            if descriptor is None:
                return None
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read()
        return data if sha256_hex(data) == digest else None

    def keep(self, workspace_id: str, digest: str, chunks: Iterable[object]) -> Path | None:
        """Write a copy from `chunks`; None, and nothing kept, when they are not what the digest says.

        Raises:
            StorageFull, StorageError (artifact_cache_unwritable): the disk; whatever `chunks` raises.
        """
        with _disk_errors():
            _private_folder(self._root())
            incoming = _private_folder(self._root() / _INCOMING)
            folder = _private_folder(self._root() / workspace_id)
            temporary = incoming / secrets.token_hex(16)
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        try:
            hasher = hashlib.sha256()
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    view = memoryview(chunk)  # type: ignore[arg-type]
                    hasher.update(view)
                    with _disk_errors():
                        file.write(view)
                with _disk_errors():
                    file.flush()
                fingerprint = _fingerprint(os.fstat(file.fileno()))
            if hasher.hexdigest() != digest:
                return None
            os.replace(temporary, folder / digest)
        finally:
            temporary.unlink(missing_ok=True)
        self._verified[workspace_id, digest] = fingerprint
        self._evict()
        return folder / digest

    def remove(self, workspace_id: str, digest: str) -> None:
        self._verified.pop((workspace_id, digest), None)
        (self._root() / workspace_id / digest).unlink(missing_ok=True)

    def digests(self, workspace_id: str) -> set[str]:
        """Digests of the copies of a workspace's objects."""
        with suppress(FileNotFoundError):
            return {name for name in os.listdir(self._root() / workspace_id) if is_digest(name)}
        return set()

    def remove_unfinished(self, older_than: float) -> int:
        """Remove what processes killed before that time (UNIX seconds) had begun; returns how many files."""
        num_removed = 0
        for path in (self._root() / _INCOMING).glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
                    num_removed += 1
        return num_removed

    def close(self) -> None:
        self._verified.clear()
        with self._lock:
            if self._own is not None:
                shutil.rmtree(self._own, ignore_errors=True)
                self._own = None

    def _root(self) -> Path:
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                self._own = Path(tempfile.mkdtemp(prefix="rootstock-cache-"))
            return self._own

    def _evict(self) -> None:
        """Remove copies, the longest unused first, until the budget holds; another process may be doing it."""
        descriptor = os.open(self._root() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                copies = sorted(self._copies())
                too_many = sum(num_bytes for _, num_bytes, _ in copies) - self._max_bytes
                used_before = time.time() - KEEP_S
                for used_at, num_bytes, path in copies:
                    if too_many <= 0 or used_at > used_before:
                        break
                    path.unlink(missing_ok=True)
                    too_many -= num_bytes
        finally:
            os.close(descriptor)

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._root().glob("ws_*/*"):
            with suppress(FileNotFoundError):
                state = path.lstat()
                yield state.st_atime, state.st_size, path


def _fingerprint(state: os.stat_result) -> Fingerprint:
    return state.st_ino, state.st_size, state.st_mtime_ns


def _private_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is missing above gets the user's usual mode
    return path


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A descriptor to read a regular file; None where there is none (a link is not followed)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                "The disk of the artifact cache is full; free some space, then try again."
            ) from None
        raise StorageError(
            f"The artifact cache cannot be written ({os.strerror(error.errno or 0)}); check its owner and mode.",
            code="artifact_cache_unwritable",
        ) from None
