"""Artifact stores by kind. A new kind is one file here and one name in `ArtifactStoreConfig`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from storage.artifacts.local import LocalStoreConfig
from storage.artifacts.memory import MemoryStoreConfig
from storage.artifacts.s3 import S3StoreConfig
from storage.artifacts.store import ArtifactStore, StoredObject

ArtifactStoreConfig = Annotated[
    LocalStoreConfig | MemoryStoreConfig | S3StoreConfig, Field(discriminator="kind")
]
"""The registry: validation, settings and messages follow from it."""

ARTIFACT_STORES = (LocalStoreConfig, MemoryStoreConfig, S3StoreConfig)

__all__ = [
    "ARTIFACT_STORES",
    "ArtifactStore",
    "ArtifactStoreConfig",
    "LocalStoreConfig",
    "MemoryStoreConfig",
    "S3StoreConfig",
    "StoredObject",
]
