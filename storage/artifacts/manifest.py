"""Bundles: several named files stored as one thing, under the digest of their manifest.

    {"format": "rootstock-bundle", "format_version": 1, "kind": "encoder",
     "files": {"weights.safetensors": {"sha256": "…", "num_bytes": 123}, …}}

The manifest is canonical JSON, so equal files make an equal digest. Names are labels inside the manifest and
never become paths. A reader checks every file against the size and SHA-256 of the manifest, and the manifest
against its own digest: who swaps a file must swap the row that names the bundle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactDamaged, ArtifactMissing, StorageError

FORMAT_VERSION = 1
READABLE_VERSIONS = frozenset({1})
MAX_FILES = 1_000
_MAX_MANIFEST_BYTES = 1 << 20
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")


class ManifestFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
    num_bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["rootstock-bundle"] = "rootstock-bundle"
    format_version: int = FORMAT_VERSION
    kind: Annotated[str, StringConstraints(pattern=r"\A[a-z][a-z0-9_]{0,39}\z")]
    files: Annotated[dict[str, ManifestFile], Field(max_length=MAX_FILES)]

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII."""
        return json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """`digest` names the bundle; `digests` are all its objects with their bytes, the manifest's included."""

    digest: str
    num_bytes: int
    digests: list[tuple[str, int]]


def put_bundle(
    store: ArtifactStore, workspace_id: str, files: Mapping[str, bytes | Path], kind: str
) -> StoredBundle:
    """Store `files` (contents, or paths to read them from) and their manifest, the manifest last.

    Raises:
        StorageFull: nothing refers to what was stored until then; the sweep removes it.
        StorageError: invalid_bundle, for a name or kind that is not one.
    """
    if _KIND.fullmatch(kind) is None or len(files) > MAX_FILES:
        raise StorageError(
            f"A bundle has a kind in snake_case ({len(kind)} characters received) and at most {MAX_FILES} files "
            f"({len(files)} received).",
            code="invalid_bundle",
        )
    for name in files:
        if _NAME.fullmatch(name) is None:
            raise StorageError(
                f"A file of a bundle is named by letters, digits, dots, dashes and slashes, as weights.safetensors; "
                f"received {len(name)} characters.",
                code="invalid_bundle",
            )
    entries: dict[str, ManifestFile] = {}
    for name in sorted(files):
        content = files[name]
        if isinstance(content, Path):
            digest = store.put_file(workspace_id, content)
            num_bytes = content.stat().st_size
        else:
            digest, num_bytes = store.put_bytes(workspace_id, content), len(content)
        entries[name] = ManifestFile(sha256=digest, num_bytes=num_bytes)
    manifest = Manifest(kind=kind, files=entries).to_bytes()
    manifest_digest = store.put_bytes(workspace_id, manifest)
    digests = {entry.sha256: entry.num_bytes for entry in entries.values()}
    digests[manifest_digest] = len(manifest)
    num_bytes = sum(entry.num_bytes for entry in entries.values()) + len(manifest)
    return StoredBundle(manifest_digest, num_bytes, sorted(digests.items()))


def read_manifest(
    store: ArtifactStore, workspace_id: str, digest: str, *, kind: str | None = None
) -> Manifest:
    """The manifest of a bundle; `kind`, where given, must be its kind.

    Raises:
        ArtifactMissing: no such bundle.
        ArtifactDamaged: damaged, not a manifest, of another kind (wrong_bundle_kind) or of a format version that
            this version cannot read (unknown_bundle_version).
    """
    data = store.get_bytes(workspace_id, digest)
    if len(data) > _MAX_MANIFEST_BYTES:
        raise _not_a_manifest(digest, len(data))
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise _not_a_manifest(digest, len(data)) from None
    if manifest.format_version not in READABLE_VERSIONS:
        raise ArtifactDamaged(
            f"Bundle {digest[:12]}… has format version {manifest.format_version}; this version of Rootstock reads "
            f"{sorted(READABLE_VERSIONS)}. Use the version that wrote it.",
            code="unknown_bundle_version",
            digest=digest,
        )
    if kind is not None and manifest.kind != kind:
        raise ArtifactDamaged(
            f"Bundle {digest[:12]}… is a {manifest.kind}, not a {kind}.",
            code="wrong_bundle_kind",
            digest=digest,
        )
    return manifest


def load_bundle(
    store: ArtifactStore, workspace_id: str, digest: str, *, kind: str | None = None
) -> dict[str, bytes]:
    """All files of a bundle by name, each verified. Raises as `read_manifest`."""
    files: dict[str, bytes] = {}
    for name, entry in read_manifest(store, workspace_id, digest, kind=kind).files.items():
        data = store.get_bytes(workspace_id, entry.sha256)
        _check_size(entry, len(data))
        files[name] = data
    return files


def bundle_path(
    store: ArtifactStore, workspace_id: str, digest: str, name: str, *, kind: str | None = None
) -> Path:
    """A local file with the contents of one file of a bundle, verified once, to read only.

    Raises:
        ArtifactMissing, ArtifactDamaged: as `read_manifest`; ArtifactMissing also for a name not in the bundle.
    """
    entry = read_manifest(store, workspace_id, digest, kind=kind).files.get(name)
    if entry is None:
        raise ArtifactMissing(f"Bundle {digest[:12]}… has no such file.", digest=digest)
    path = store.local_path(workspace_id, entry.sha256)
    _check_size(entry, path.stat().st_size)
    return path


def _check_size(entry: ManifestFile, num_bytes: int) -> None:
    if num_bytes != entry.num_bytes:
        raise ArtifactDamaged(
            f"Object {entry.sha256[:12]}… has {num_bytes} bytes, its manifest says {entry.num_bytes}.",
            digest=entry.sha256,
        )


def _not_a_manifest(digest: str, num_bytes: int) -> ArtifactDamaged:
    return ArtifactDamaged(
        f"Object {digest[:12]}… ({num_bytes} bytes) is not the manifest of a bundle.", digest=digest
    )
