"""The next version of a target's label set: computed outside the transaction, published only if the version that it was
computed from is still the latest, else computed again. Two requests that arrive together both count.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import polars as pl

from app.errors import ResourceConflict, Unavailable
from app.schemas.labels import LabelsAccepted
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, earlier_answer, make_once
from app.services.artifacts import ObjectGone, refer, remove_unreferenced
from app.services.erasures import was_erased_since
from app.services.label_facts import label_facts
from app.services.label_files import empty_labels, read_labels, write_labels
from app.services.lookup import current_schema, ready_table
from app.services.target_labels import LabelFacts
from models.features.schema import TableSchema, Task
from models.features.snapshot import ROWS_FILE, Snapshot
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.orm import LabelSet, Table, Target
from storage.orm import Snapshot as SnapshotRow
from storage.unit_of_work import UnitOfWork

MAX_TRIES = 8
FIRST_PAUSE_S = 0.01  # before a request tries again that lost to another process; doubles, with jitter
NUM_TURNS = 64  # locks that targets share by hash
NUM_OPEN_SNAPSHOTS = 2  # their key indexes stay in memory, 16 bytes and the key's text per row


class _Outdated(Exception):
    """Another request published labels in between."""


@dataclass(frozen=True)
class LabelGround:
    """What a new version is computed from."""

    table: Table
    snapshot: SnapshotRow
    schema: TableSchema
    target: Target
    latest: LabelSet | None


@dataclass(frozen=True)
class Draft:
    """The labels after a request; `added` are those it brought. Counts are those of the request."""

    labels: pl.DataFrame
    added: pl.DataFrame
    accepted: int = 0
    replaced: int = 0
    withdrawn: int = 0
    unmatched: int = 0
    action: str = "labels"
    restored_version: int | None = None


@dataclass(frozen=True)
class _Stored:
    """A draft in the artifact store. `is_new` False: nothing changed."""

    draft: Draft
    facts: LabelFacts
    digest: str
    num_bytes: int
    is_new: bool


class LabelPublisher:
    """One per process: requests for one target take turns in it, those of other processes are met by trying again."""

    def __init__(self, database: Database, store: ArtifactStore, *, folder: Path) -> None:
        self._database = database
        self._store = store
        self.folder = folder
        self._turns = [threading.Lock() for _ in range(NUM_TURNS)]
        self._open_snapshot = lru_cache(maxsize=NUM_OPEN_SNAPSHOTS)(Snapshot)  # paths are named by content
        self._jitter = random.Random()

    def publish(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        request: RepeatableRequest | None,
        draft_of: Callable[[LabelGround, Snapshot], Draft],
    ) -> Answer:
        """Publish what `draft_of` makes of the latest version; it may be called several times.

        Raises: ResourceConflict `labels_from_column`; Unavailable `labels_busy`; whatever `draft_of` raises.
        """
        turn = self._turns[hash((principal.workspace_id, table_name, target_name)) % NUM_TURNS]
        with turn:
            for number in range(MAX_TRIES):
                answer = self._attempt(principal, table_name, target_name, request, draft_of)
                if answer is not None:
                    return answer
                time.sleep(FIRST_PAUSE_S * 2**number * self._jitter.uniform(0.5, 1.0))
        raise Unavailable(
            "Many label requests for this target arrive at once; send it again.", code="labels_busy"
        )

    def _attempt(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        request: RepeatableRequest | None,
        draft_of: Callable[[LabelGround, Snapshot], Draft],
    ) -> Answer | None:
        """The answer, or None where another request was faster."""
        with self._database.reading() as uow:
            earlier = earlier_answer(uow, principal, request)
            if earlier is not None:
                return earlier
            ground = ground_of(uow, principal, table_name, target_name)
        stored = self._computed(principal, ground, draft_of)
        publish = partial(_publish, store=self._store, principal=principal, ground=ground, stored=stored)
        is_published = False
        try:
            answer = make_once(self._database, principal, request, publish)
            is_published = not answer.is_repeated
            return answer
        except (_Outdated, ObjectGone):
            return None
        finally:
            if not is_published:  # the labels that were stored are nobody's, unless another request's too
                remove_unreferenced(self._database, self._store, principal.workspace_id, [stored.digest])

    def _computed(
        self, principal: Principal, ground: LabelGround, draft_of: Callable[[LabelGround, Snapshot], Draft]
    ) -> _Stored:
        snapshot = self.snapshot(principal.workspace_id, ground.snapshot)
        draft = draft_of(ground, snapshot)
        facts = label_facts(
            ground.target, snapshot, ground.schema, ground.snapshot.version, draft.labels, draft.added
        )
        digest, num_bytes = self._written(principal, draft.labels)
        is_new = ground.latest is None or ground.latest.digest != digest
        return _Stored(draft, facts, digest, num_bytes, is_new)

    def snapshot(self, workspace_id: str, row: SnapshotRow) -> Snapshot:
        return self._open_snapshot(bundle_path(self._store, workspace_id, row.manifest_digest, ROWS_FILE))

    def forget_snapshots(self, _: object) -> None:
        """Rows may have been erased: key indexes are read again, from what is stored now."""
        self._open_snapshot.cache_clear()

    def labels_of(self, workspace_id: str, label_set: LabelSet | None) -> pl.DataFrame:
        """Labels by key of a version; empty before the first."""
        if label_set is None or label_set.digest is None:
            return empty_labels()
        return read_labels(self._store.local_path(workspace_id, label_set.digest))

    def _written(self, principal: Principal, labels: pl.DataFrame) -> tuple[str, int]:
        path = self.folder / f"labels-{secrets.token_hex(16)}"
        path.touch(mode=0o600, exist_ok=False)
        try:
            write_labels(labels, path)
            return self._store.put_file(principal.workspace_id, path), path.stat().st_size
        finally:
            path.unlink(missing_ok=True)


def ground_of(uow: UnitOfWork, principal: Principal, table_name: str, target_name: str) -> LabelGround:
    """Raises: NotFound; ResourceConflict `table_not_ready`, `labels_from_column`."""
    table, snapshot = ready_table(uow, principal, table_name)
    target = uow.targets.by_name(table.id, target_name)
    if target.column_name is not None:
        raise ResourceConflict(
            f"The labels of this target are the values of the column {target.column_name!r}; make a target without a "
            "column to send labels by key.",
            code="labels_from_column",
        )
    return LabelGround(table, snapshot, current_schema(uow, table), target, uow.label_sets.latest(target.id))


def _publish(
    uow: UnitOfWork, store: ArtifactStore, principal: Principal, ground: LabelGround, stored: _Stored
) -> Answer:
    version = 0 if ground.latest is None else ground.latest.version
    facts, draft = stored.facts, stored.draft
    target = uow.targets.by_name(ground.table.id, ground.target.name)
    if target.id != ground.target.id or target.last_label_set_version != version:
        raise _Outdated
    if stored.is_new:
        label_set = uow.label_sets.add(
            target,
            "keys",
            None,
            stored.digest,
            facts.num_labels,
            facts.counts,
            draft.action,
            draft.restored_version,
        )
        if label_set.version != version + 1 or was_erased_since(uow, ground.table):
            raise _Outdated
        version = label_set.version
        refer(uow, store, principal.workspace_id, stored.digest, stored.num_bytes, label_set.id)
        settle(uow, target, facts)
        uow.audit.add(
            principal.workspace_id,
            principal.key_id,
            "target.labels",
            target.id,
            {"label_set": version, "action": draft.action},
        )
    body = LabelsAccepted(
        accepted=draft.accepted,
        replaced=draft.replaced,
        withdrawn=draft.withdrawn,
        unmatched=draft.unmatched,
        num_labels=facts.num_labels,
        num_evaluation=facts.counts["evaluation"],
        num_parked=facts.counts["unmatched"],
        label_set=version,
        task=facts.task,
        classes=None if facts.classes is None else list(facts.classes),
        warnings=facts.warnings,
    )
    return Answer(200, body.model_dump(mode="json"))


def settle(uow: UnitOfWork, target: Target, facts: LabelFacts) -> None:
    """Fix the task and classes that labels have shown."""
    settled = None if facts.classes is None else list(facts.classes)
    if facts.task is not None and (target.task != facts.task.value or target.classes != settled):
        positive = settled[-1] if settled and facts.task is Task.BINARY else target.positive
        uow.targets.settle(target, facts.task.value, settled, positive)
