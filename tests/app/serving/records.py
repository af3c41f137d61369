"""Rows of an installation, written through the repositories the way services and jobs do."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import migrate
from storage.engine import Database
from storage.orm import Encoder, Head, Snapshot, Table, Target

EVERY_SCOPE = ("admin",)
NO_ARTIFACT = "0" * 64


def migrated_database(folder: Path, template: Path | None = None) -> str:
    """URL of a migrated SQLite file in `folder`, copied from `template` where there is one."""
    path = folder / "rootstock.db"
    if template is not None:
        shutil.copy(template, path)
    else:
        migrate.upgrade(f"sqlite:///{path}")
    return f"sqlite:///{path}"


@dataclass(frozen=True)
class Key:
    public_id: str
    secret: str


class Records:
    """Short forms for what catalog tests need; every call is one committed transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def workspace(self, name: str = "default") -> str:
        with self.database.writing() as uow:
            return uow.workspaces.get_or_create(name).id

    def key(
        self,
        workspace_id: str,
        *,
        public_id: str = "k" * 16,
        secret: str = "s" * 64,
        expires_at: float | None = None,
        scopes: Sequence[str] = EVERY_SCOPE,
    ) -> Key:
        with self.database.writing() as uow:
            digest = hashlib.sha256(secret.encode()).digest()
            uow.keys.add(workspace_id, "a key", digest, scopes, expires_at, public_id=public_id)
        return Key(public_id, secret)

    def revoke(self, workspace_id: str, key: Key) -> None:
        with self.database.writing() as uow:
            uow.keys.revoke(workspace_id, key.public_id)

    def table(
        self,
        workspace_id: str,
        name: str = "customers",
        *,
        digest: str = NO_ARTIFACT,
        columns: Sequence[dict[str, Any]] = (),
        num_rows: int = 0,
        is_ready: bool = True,
    ) -> tuple[Table, Snapshot]:
        with self.database.writing() as uow:
            table = uow.tables.add(workspace_id, name, {})
            uow.tables.set_columns(table, 1, columns)
            snapshot = uow.tables.add_snapshot(table, digest, num_rows, 0, uow.now())
            if is_ready:
                table = uow.tables.mark_ready(table, snapshot)
        return table, snapshot

    def mark_ready(self, table: Table, snapshot: Snapshot) -> None:
        with self.database.writing() as uow:
            uow.tables.mark_ready(table, snapshot)

    def encoder(
        self, table: Table, snapshot: Snapshot, *, digest: str = NO_ARTIFACT, schema_version: int = 1
    ) -> Encoder:
        with self.database.writing() as uow:
            encoder = uow.encoders.add(table, snapshot.id, schema_version, {}, [], None)
            return uow.encoders.publish(encoder.id, digest, 0, {})

    def target(self, table: Table, name: str = "churn", task: str = "binary") -> Target:
        with self.database.writing() as uow:
            return uow.targets.add(table, name, task, None, None, None, [])

    def head(
        self,
        target: Target,
        encoder: Encoder,
        *,
        digest: str = NO_ARTIFACT,
        view: Sequence[str] = (),
        alias: str | None = None,
        is_ready: bool = True,
    ) -> Head:
        with self.database.writing() as uow:
            labels = uow.label_sets.add(target, "column", encoder.snapshot_id, None, 0, {})
            head = uow.heads.add(target, "linear", {}, encoder.id, labels.id, {}, view, False, None)
            if is_ready:
                head = uow.heads.publish(head.id, digest, 0, {}, {}, "", {}, "linear")
            if alias is not None:
                uow.aliases.move(target.id, alias, head, expected_revision=None, actor=None)
        return head

    def alias(self, target: Target, name: str, head: Head) -> None:
        with self.database.writing() as uow:
            uow.aliases.move(target.id, name, head, expected_revision=None, actor=None)


def eventually(holds: Callable[[], bool], deadline_s: float = 5.0) -> bool:
    """Whether `holds` becomes true before the deadline."""
    until = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)  # the polling interval, not a wait for anything
    return True
