"""Labels by key: merged into a new immutable label set version.

Two requests that arrive together both count: a version is computed outside the transaction and published only if
the one it was computed from is still the latest, else computed again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import polars as pl

from app.errors import InvalidRequest, ResourceConflict, TooLarge, Unavailable
from app.schemas.principal import Principal
from app.schemas.targets import Label, LabelsAccepted, LabelsRequest
from app.services.answers import Answer, RepeatableRequest, earlier_answer, make_once
from app.services.artifacts import ObjectGone, refer, remove_unreferenced
from app.services.label_files import decode_values, empty_labels, encode_value, read_labels, write_labels
from app.services.lookup import ready_table
from app.services.target_labels import (
    LabelFacts,
    count_labels,
    count_warnings,
    refuse_mixed_types,
    settle_task,
)
from models.features.labels import canonical_key
from models.features.schema import JsonScalar, Task
from models.features.snapshot import ROWS_FILE, Snapshot
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.orm import LabelSet, Table, Target
from storage.orm import Snapshot as SnapshotRow
from storage.unit_of_work import UnitOfWork

MAX_TRIES = 8
NUM_TURNS = 64  # locks that targets share by hash
MAX_NAMED_POSITIONS = 20
NUM_OPEN_SNAPSHOTS = 2  # their key indexes stay in memory, 16 bytes and the key's text per row


class _Outdated(Exception):
    """Another request published labels in between."""


@dataclass(frozen=True)
class _Ground:
    """What a request was computed from."""

    table: Table
    snapshot: SnapshotRow
    target: Target
    latest: LabelSet | None


@dataclass(frozen=True)
class _Merged:
    """The label set after the request. `is_new` False: nothing changed."""

    digest: str
    is_new: bool
    num_bytes: int
    facts: LabelFacts
    accepted: int
    replaced: int
    withdrawn: int
    unmatched: int


class LabelService:
    def __init__(self, database: Database, store: ArtifactStore, *, folder: Path, max_labels: int) -> None:
        self._database = database
        self._store = store
        self._folder = folder
        self._max_labels = max_labels
        self._turns = [threading.Lock() for _ in range(NUM_TURNS)]
        self._open_snapshot = lru_cache(maxsize=NUM_OPEN_SNAPSHOTS)(Snapshot)  # paths are named by content

    def post(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        wanted: LabelsRequest,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Add, replace and withdraw labels; those without a row are kept until it arrives.

        Raises: InvalidRequest `duplicate_key`, `no_label_matches`, `unmatched_keys` (strict); ResourceConflict
            `labels_from_column`; LabelError for values that do not fit the target's task; TooLarge.
        """
        if len(wanted.labels) > self._max_labels:
            raise TooLarge(
                f"A request carries at most {self._max_labels:,} labels; received {len(wanted.labels):,}. Send several.",
                code="too_many_labels",
                details={"max_labels": self._max_labels},
            )
        sent = _sent_labels(wanted.labels)
        with self._one_at_a_time(principal, table_name, target_name):
            return self._post(principal, table_name, target_name, sent, request, is_strict=wanted.strict)

    def _post(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        sent: pl.DataFrame,
        request: RepeatableRequest | None,
        *,
        is_strict: bool,
    ) -> Answer:
        for _ in range(MAX_TRIES):
            with self._database.reading() as uow:
                earlier = earlier_answer(uow, principal, request)
                if earlier is not None:
                    return earlier
                ground = _ground(uow, principal, table_name, target_name)
            merged = self._merge(principal, ground, sent, is_strict=is_strict)
            publish = partial(_publish, store=self._store, principal=principal, ground=ground, merged=merged)
            is_published = False
            try:
                answer = make_once(self._database, principal, request, publish)
                is_published = not answer.is_repeated
                return answer
            except (_Outdated, ObjectGone):
                continue
            finally:
                if not is_published:  # the labels that were stored are nobody's, unless another request's too
                    remove_unreferenced(self._database, self._store, principal.workspace_id, [merged.digest])
        raise Unavailable(
            "Many label requests for this target arrive at once; send it again.", code="labels_busy"
        )

    def _one_at_a_time(self, principal: Principal, table_name: str, target_name: str) -> threading.Lock:
        """Requests of this process for one target take turns; those of other processes are met by trying again."""
        return self._turns[hash((principal.workspace_id, table_name, target_name)) % NUM_TURNS]

    def _merge(
        self, principal: Principal, ground: _Ground, sent: pl.DataFrame, *, is_strict: bool
    ) -> _Merged:
        rows_path = bundle_path(
            self._store, principal.workspace_id, ground.snapshot.manifest_digest, ROWS_FILE
        )
        snapshot = self._open_snapshot(rows_path)
        before = self._labels_of(principal, ground.latest)
        is_known = pl.Series(snapshot.key_index.rows_of(sent["key"].to_list()) >= 0)
        is_labelled = sent["key"].is_in(before["key"].implode())
        _check_matches(is_known, is_labelled, is_strict=is_strict)
        added = sent.filter(pl.col("value").is_not_null())
        after = pl.concat([before.join(sent, on="key", how="anti"), added.select(before.columns)])
        facts = _facts(ground.target, snapshot, after, added)
        has_value = sent["value"].is_not_null()
        counts = {
            "accepted": len(added),
            "replaced": int((is_labelled & has_value).sum()),
            "withdrawn": int((is_labelled & ~has_value).sum()),
            "unmatched": int((~is_known & has_value).sum()),
        }
        digest, num_bytes = self._stored(principal, after)
        is_new = ground.latest is None or ground.latest.digest != digest
        return _Merged(digest=digest, is_new=is_new, num_bytes=num_bytes, facts=facts, **counts)

    def _labels_of(self, principal: Principal, label_set: LabelSet | None) -> pl.DataFrame:
        if label_set is None or label_set.digest is None:
            return empty_labels()
        return read_labels(self._store.local_path(principal.workspace_id, label_set.digest))

    def _stored(self, principal: Principal, labels: pl.DataFrame) -> tuple[str, int]:
        path = self._folder / f"labels-{secrets.token_hex(16)}"
        path.touch(mode=0o600, exist_ok=False)
        try:
            write_labels(labels, path)
            return self._store.put_file(principal.workspace_id, path), path.stat().st_size
        finally:
            path.unlink(missing_ok=True)


def _sent_labels(labels: Sequence[Label]) -> pl.DataFrame:
    """The request's labels as a label file, `value` null where one is withdrawn.

    A key that appears twice is refused instead of letting the last one win: which of the two is true is not ours
    to guess, and `1` and `"1"` are one key.
    """
    keys = [canonical_key(label.key) for label in labels]
    first: dict[str, int] = {}
    repeated = [position for position, key in enumerate(keys) if first.setdefault(key, position) != position]
    if repeated:
        raise InvalidRequest(
            f"{len(repeated)} labels have a key that came before in this request, at positions "
            f"{_positions(repeated)}; send one label per key.",
            code="duplicate_key",
            details={"positions": repeated[:MAX_NAMED_POSITIONS]},
        )
    return pl.DataFrame(
        {
            "key": keys,
            "value": [None if label.value is None else encode_value(label.value) for label in labels],
            "at": [label.at for label in labels],
            "weight": [label.weight for label in labels],
        },
        schema=empty_labels().schema,
    )


def _check_matches(is_known: pl.Series, is_labelled: pl.Series, *, is_strict: bool) -> None:
    missing = (~is_known).arg_true().to_list()
    if is_strict and missing:
        raise InvalidRequest(
            f"{len(missing)} of {len(is_known)} keys have no row, at positions {_positions(missing)}. Nothing was "
            "stored; correct them, or send the labels without strict to keep them until their rows arrive.",
            code="unmatched_keys",
            details={"positions": missing[:MAX_NAMED_POSITIONS], "unmatched": len(missing)},
        )
    if not (is_known | is_labelled).any():
        raise InvalidRequest(
            f"None of the {len(is_known)} keys has a row in the table. Keys are the text of the key column (or row "
            "numbers from 0 where the table has none); type and spelling count.",
            code="no_label_matches",
            details={"unmatched": len(is_known)},
        )


def _facts(target: Target, snapshot: Snapshot, after: pl.DataFrame, added: pl.DataFrame) -> LabelFacts:
    values: list[JsonScalar] = decode_values(after["value"])
    refuse_mixed_types(values)
    task, classes, warnings = settle_task(target, values, decode_values(added["value"]))
    rows = snapshot.key_index.rows_of(after["key"].to_list())
    is_matched = rows >= 0
    matched = [value for value, has_row in zip(values, is_matched.tolist(), strict=True) if has_row]
    is_evaluation: np.ndarray = snapshot.is_evaluation[rows[is_matched]]
    counts = count_labels(matched, is_evaluation, int((~is_matched).sum()), task, classes)
    return LabelFacts(task, classes, counts, [*warnings, *count_warnings(counts, task)])


def _ground(uow: UnitOfWork, principal: Principal, table_name: str, target_name: str) -> _Ground:
    table, snapshot = ready_table(uow, principal, table_name)
    target = uow.targets.by_name(table.id, target_name)
    if target.column_name is not None:
        raise ResourceConflict(
            f"The labels of this target are the values of the column {target.column_name!r}; make a target without a "
            "column to send labels by key.",
            code="labels_from_column",
        )
    return _Ground(table, snapshot, target, uow.label_sets.latest(target.id))


def _publish(
    uow: UnitOfWork, store: ArtifactStore, principal: Principal, ground: _Ground, merged: _Merged
) -> Answer:
    version = 0 if ground.latest is None else ground.latest.version
    facts = merged.facts
    target = uow.targets.by_name(ground.table.id, ground.target.name)
    if target.id != ground.target.id or target.last_label_set_version != version:
        raise _Outdated
    if merged.is_new:
        label_set = uow.label_sets.add(target, "keys", None, merged.digest, facts.num_labels, facts.counts)
        if label_set.version != version + 1:
            raise _Outdated
        version = label_set.version
        refer(uow, store, principal.workspace_id, merged.digest, merged.num_bytes, label_set.id)
        settled = None if facts.classes is None else list(facts.classes)
        if facts.task is not None and (target.task != facts.task.value or target.classes != settled):
            positive = settled[-1] if settled and facts.task is Task.BINARY else target.positive
            uow.targets.settle(target, facts.task.value, settled, positive)
        uow.audit.add(
            principal.workspace_id,
            principal.key_id,
            "target.labels",
            target.id,
            {"label_set": label_set.version},
        )
    body = LabelsAccepted(
        accepted=merged.accepted,
        replaced=merged.replaced,
        withdrawn=merged.withdrawn,
        unmatched=merged.unmatched,
        num_labels=facts.num_labels,
        num_evaluation=facts.counts["evaluation"],
        num_parked=facts.counts["unmatched"],
        label_set=version,
        task=facts.task,
        classes=None if facts.classes is None else list(facts.classes),
        warnings=facts.warnings,
    )
    return Answer(200, body.model_dump(mode="json"))


def _positions(positions: list[int]) -> str:
    more = f" and {len(positions) - MAX_NAMED_POSITIONS} more" if len(positions) > MAX_NAMED_POSITIONS else ""
    return ", ".join(map(str, positions[:MAX_NAMED_POSITIONS])) + more
