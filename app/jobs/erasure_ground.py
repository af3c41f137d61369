"""What an erasure is computed from: every stored thing of a table that may hold a row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from app.services.key_hmacs import key_hmac
from storage.orm import Encoder, Head, LabelSet, Snapshot, Table, Target
from storage.unit_of_work import UnitOfWork

_PAGE = 500


@dataclass(frozen=True)
class ErasureGround:
    """Rows of the database as they were read; `encoders` and `heads` are those that have files."""

    table: Table
    snapshots: list[Snapshot]
    targets: list[Target]
    label_sets: list[LabelSet]
    encoders: list[Encoder]
    heads: list[Head]

    @classmethod
    def of(cls, uow: UnitOfWork, table: Table) -> ErasureGround:
        targets = uow.targets.list(table.id)
        return cls(
            table,
            _snapshots(uow, table),
            targets,
            [found for target in targets for found in uow.label_sets.list(target.id)],
            [found for found in uow.encoders.list(table.id) if found.manifest_digest is not None],
            [
                head
                for target in targets
                for head in uow.heads.list(target.id)
                if head.manifest_digest is not None
            ],
        )

    def digests(self) -> dict[str, str | None]:
        """Id to digest of everything: two grounds with equal ones hold the same rows."""
        found: dict[str, str | None] = {row.id: row.manifest_digest for row in self.snapshots}
        found.update((row.id, row.manifest_digest) for row in self.encoders)
        found.update((row.id, row.manifest_digest) for row in self.heads)
        found.update((row.id, row.digest) for row in self.label_sets)
        return found

    def target(self, target_id: str) -> Target:
        return next(target for target in self.targets if target.id == target_id)

    def snapshot_of(self, head: Head) -> Snapshot | None:
        """The snapshot that positions of the head's judged rows are of; heads of old say no other than their encoder's."""
        version = ((head.report or {}).get("lineage") or {}).get("snapshot")
        if version is not None:
            return next((found for found in self.snapshots if found.version == version), None)
        encoder = next((found for found in self.encoders if found.id == head.encoder_id), None)
        return next((row for row in self.snapshots if encoder and row.id == encoder.snapshot_id), None)


@dataclass(frozen=True)
class KeyMatcher:
    """Finds keys by their HMAC-SHA256 (about a second for a million of them)."""

    salt: bytes
    hmacs: frozenset[bytes]

    def find(self, keys: pl.Series) -> npt.NDArray[np.int64]:
        """Sorted positions in `keys`, String [N], of those that are asked for."""
        is_asked = np.fromiter(
            (self.digest(key) in self.hmacs for key in keys.to_list()), dtype=bool, count=len(keys)
        )
        return np.flatnonzero(is_asked)

    def digest(self, key: str) -> bytes:
        return key_hmac(self.salt, key)

    def digests(self, keys: Collection[str]) -> set[str]:
        return {self.digest(key).hex() for key in keys}


def _snapshots(uow: UnitOfWork, table: Table) -> list[Snapshot]:
    found: list[Snapshot] = []
    cursor: str | None = None
    while True:
        page = uow.tables.snapshots(table.id, _PAGE, cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
