"""Artifacts in an S3-compatible bucket: `<prefix>/<workspace id>/<digest>`.

S3 shows an object whole or not at all, so an upload that is cut leaves nothing to see (parts of a killed multipart
upload stay hidden until the bucket's lifecycle rule removes them). A new object is put on the condition that its
name is free. One that is there is put again, bytes for bytes: that makes it young, which the sweep needs to see,
and heals it if it was damaged; a name can never get other bytes than its digest's.

`delete` looks at an object's age and then deletes; S3 has no operation that does both. Who refers to an object
therefore looks again under the lock that deletions take (`storage.repositories.artifacts`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from storage.artifacts.read_cache import ReadCache
from storage.artifacts.store import StoredObject, check_digest, check_workspace, is_digest, sha256_hex
from storage.errors import ArtifactDamaged, ArtifactMissing, StorageFull, StoreUnavailable

_CHUNK_BYTES = 1 << 20
_WHOLE_BYTES = 16 << 20  # larger files go up in parts and never lie in memory
_PART_BYTES = 8 << 20
_MAX_PARTS = 9_000  # S3 takes 10,000
_FULL = ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507 ")
_READ_ATTEMPTS = 2  # bytes that are wrong once may have been changed on the way


class S3Store:
    def __init__(self, bucket: Bucket, prefix: str, cache: ReadCache) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._cache = cache

    def put_bytes(self, workspace_id: str, data: bytes) -> str:
        digest = sha256_hex(data)
        path = self._path(workspace_id, digest)
        with _storage_errors():
            try:
                obstore.put(self._bucket, path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                obstore.put(self._bucket, path, data, mode="overwrite", use_multipart=False)
        return digest

    def put_file(self, workspace_id: str, path: Path) -> str:
        check_workspace(workspace_id)
        with path.open("rb") as source:
            num_bytes = source.seek(0, 2)
            source.seek(0)
            if num_bytes <= _WHOLE_BYTES:
                return self.put_bytes(workspace_id, source.read())
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        with _storage_errors():
            obstore.put(
                self._bucket,
                self._path(workspace_id, digest),
                _unchanged(path, digest),
                use_multipart=True,
                chunk_size=max(_PART_BYTES, -(-num_bytes // _MAX_PARTS)),
                max_concurrency=4,
            )
        return digest

    def get_bytes(self, workspace_id: str, digest: str) -> bytes:
        path = self._path(workspace_id, digest)
        cached = self._cache.read(workspace_id, digest)
        if cached is not None:
            return cached
        for _ in range(_READ_ATTEMPTS):
            with _storage_errors(digest):
                data = bytes(obstore.get(self._bucket, path).bytes())
            if sha256_hex(data) == digest:
                return data
        raise _damaged(digest, len(data))

    def local_path(self, workspace_id: str, digest: str) -> Path:
        path = self._path(workspace_id, digest)
        found = self._cache.find(workspace_id, digest)
        for _ in range(_READ_ATTEMPTS):
            if found is None:
                with _storage_errors(digest):
                    chunks = obstore.get(self._bucket, path).stream(min_chunk_size=_CHUNK_BYTES)
                    found = self._cache.keep(workspace_id, digest, chunks)
        if found is None:
            raise _damaged(digest, None)
        return found

    def exists(self, workspace_id: str, digest: str) -> bool:
        return self._modified_at(workspace_id, digest) is not None

    def delete(self, workspace_id: str, digest: str, *, unmodified_since: float | None = None) -> bool:
        modified_at = self._modified_at(workspace_id, digest)
        if modified_at is None or (unmodified_since is not None and modified_at > unmodified_since):
            return False
        with _storage_errors():
            obstore.delete(self._bucket, self._path(workspace_id, digest))
        self._cache.remove(workspace_id, digest)
        return True

    def list(self, workspace_id: str) -> Iterator[StoredObject]:
        prefix = f"{self._prefix}{check_workspace(workspace_id)}"
        found: list[StoredObject] = []
        with _storage_errors():
            for metas in obstore.list(self._bucket, prefix=prefix):
                for meta in metas:
                    name = meta["path"].rpartition("/")[2]
                    if is_digest(name):  # the bucket may hold what is not ours
                        found.append(StoredObject(name, meta["size"], meta["last_modified"].timestamp()))
        yield from sorted(found, key=lambda one: one.digest)

    def remove_leftovers(self, workspace_id: str, older_than: float) -> int:
        """Leftovers are in the cache: files cut short, and copies of objects that another machine has deleted."""
        cached = self._cache.digests(check_workspace(workspace_id))
        gone = cached - {found.digest for found in self.list(workspace_id)} if cached else set()
        for digest in gone:
            self._cache.remove(workspace_id, digest)
        return len(gone) + self._cache.remove_unfinished(older_than)

    def close(self) -> None:
        self._cache.close()

    def _path(self, workspace_id: str, digest: str) -> str:
        return f"{self._prefix}{check_workspace(workspace_id)}/{check_digest(digest)}"

    def _modified_at(self, workspace_id: str, digest: str) -> float | None:
        path = self._path(workspace_id, digest)
        try:
            with _storage_errors(digest):
                return obstore.head(self._bucket, path)["last_modified"].timestamp()
        except ArtifactMissing:
            return None


def _unchanged(path: Path, digest: str) -> Iterator[bytes]:
    """The file's chunks; fails before the upload ends if they are not what was hashed, and so nothing is stored."""
    hasher = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            hasher.update(chunk)
            yield chunk
    if hasher.hexdigest() != digest:
        raise StoreUnavailable(
            "A file changed while it was being stored; repeat the request.", code="artifact_source_changed"
        )


@contextmanager
def _storage_errors(digest: str | None = None) -> Iterator[None]:
    """Messages of the driver name URLs and quote the server's answer; only their kind passes on."""
    try:
        yield
    except (FileNotFoundError, BaseError) as error:
        text = str(error)
        if "NoSuchBucket" in text or (isinstance(error, FileNotFoundError) and digest is None):
            raise StoreUnavailable(
                "The bucket of the artifact store does not exist; make it, or correct the store's settings.",
                code="store_bucket_missing",
            ) from None
        if isinstance(error, FileNotFoundError):
            raise ArtifactMissing(
                f"There is no object {str(digest)[:12]}… in the artifact store; restore it from a copy.",
                digest=digest,
            ) from None
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
            raise StoreUnavailable(
                "The artifact store refuses the credentials of this service; check its key and the bucket's policy.",
                code="store_access_denied",
            ) from None
        if any(mark in text for mark in _FULL):
            raise StorageFull("The artifact store is full; free some space, then try again.") from None
        raise StoreUnavailable("The artifact store cannot be reached; try again in a moment.") from None


def _damaged(digest: str, num_bytes: int | None) -> ArtifactDamaged:
    size = "" if num_bytes is None else f" ({num_bytes} bytes)"
    return ArtifactDamaged(
        f"Object {digest[:12]}…{size} is not what was stored; restore it from a copy.", digest=digest
    )
