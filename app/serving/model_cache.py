"""Encoders and heads in memory, by id, loaded through their manifests and never trusted unverified."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.errors import ServiceError
from app.serving.byte_cache import ByteCache
from app.serving.errors import DAMAGED_RETRY_AFTER_S, ModelUnavailable
from app.serving.metrics import CacheMetrics
from models.bundle import EncoderBundle
from models.errors import BundleError
from models.features.schema import TableSchema
from models.heads import FittedHead, load_head
from models.predictor import Predictor
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import load_bundle
from storage.errors import StorageError

_OVERHEAD = 2
"""Memory of a loaded model against its files: a head's weights are held again in the stacks of its predictor."""


class StoredModel(Protocol):
    """What the cache needs to know of an encoder or head of the catalog."""

    @property
    def id(self) -> str: ...
    @property
    def manifest_digest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """An encoder ready to predict; `schema` is the one it was pretrained with, and reads the rows sent to it."""

    predictor: Predictor
    schema: TableSchema


class ModelCache:
    """Byte-budget LRU over encoders and heads, by id. Ids are never reused, and what a version computes never changes; its
    files do when rows are erased, which is what `keep_only` is for.

    Raises (from both look-ups): ModelUnavailable when the stored bundle is damaged, gone or not readable by this
    program.
    """

    def __init__(self, store: ArtifactStore, budget_bytes: int, metrics: CacheMetrics) -> None:
        self._store = store
        self._cache: ByteCache[tuple[str, str], LoadedEncoder | FittedHead] = ByteCache(budget_bytes, metrics)

    @property
    def num_bytes(self) -> int:
        return self._cache.num_bytes

    def __contains__(self, model: StoredModel) -> bool:
        return (model.id, model.manifest_digest) in self._cache

    def keep_only(self, digests: Collection[str]) -> None:
        """Drop what was loaded from other manifests."""
        self._cache.keep_only(lambda key: key[1] in digests)

    def encoder(self, workspace_id: str, entry: StoredModel) -> LoadedEncoder:
        loaded = self._cache.get(
            (entry.id, entry.manifest_digest), lambda: self._load_encoder(workspace_id, entry)
        )
        assert isinstance(loaded, LoadedEncoder)
        return loaded

    def head(self, workspace_id: str, entry: StoredModel) -> FittedHead:
        loaded = self._cache.get(
            (entry.id, entry.manifest_digest), lambda: self._load_head(workspace_id, entry)
        )
        assert not isinstance(loaded, LoadedEncoder)
        return loaded

    def _load_encoder(self, workspace_id: str, entry: StoredModel) -> tuple[LoadedEncoder, int]:
        files = self._files(workspace_id, entry, "encoder")
        try:
            bundle = EncoderBundle.from_files(files)
            loaded = LoadedEncoder(Predictor(bundle), bundle.schema)
        except BundleError as error:
            raise unavailable("encoder", error) from error
        return loaded, bundle.num_bytes + len(files.get("encoder.json", b"")) * _OVERHEAD

    def _load_head(self, workspace_id: str, entry: StoredModel) -> tuple[FittedHead, int]:
        files = self._files(workspace_id, entry, "head")
        try:
            head = load_head(files)
        except BundleError as error:
            raise unavailable("head", error) from error
        return head, sum(map(len, files.values())) * _OVERHEAD

    def _files(self, workspace_id: str, entry: StoredModel, kind: str) -> Mapping[str, bytes]:
        try:
            return load_bundle(self._store, workspace_id, entry.manifest_digest, kind=kind)
        except StorageError as error:
            raise unavailable(kind, error) from error


def unavailable(kind: str, error: BundleError | StorageError) -> ServiceError:
    """What a client is told when a stored `kind` cannot be used; the code is that of the cause."""
    return ModelUnavailable(
        f"the stored {kind} cannot be used ({error.code}): it is damaged, gone or of a format this build does not "
        "read; the operator restores it from a backup, or the version is made again",
        code=error.code,
        retry_after_s=DAMAGED_RETRY_AFTER_S,
    )
