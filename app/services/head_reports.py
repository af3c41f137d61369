"""All that is known of one head, as plain data: what its database row says, and what its judged rows show.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.errors import ResourceConflict
from app.schemas.encoders import EncoderDetail
from app.schemas.heads import HeadDetail
from app.schemas.principal import Principal
from app.schemas.targets import TargetBody
from app.services.encoders import EncoderService
from app.services.heads import HeadService
from app.services.lookup import target_of
from app.services.targets import TargetService
from app.serving.decisions import rule_of
from models.errors import BundleError, InputError
from models.evaluation.curves import (
    CalibrationBin,
    CoveragePoint,
    calibration_bins,
    confusion_counts,
    interval_coverage,
    set_coverage,
    spread_sample,
)
from models.evaluation.judged import JudgedRows, Part
from models.features.schema import JsonScalar, Task
from models.heads import FittedHead, load_head
from models.heads.decision import MOST_PROBABLE, Decision
from models.heads.scores import ScoreQuantiles
from models.heads.scoring import is_scoring
from models.training.deciding import evaluated
from models.training.trust import COVERAGES
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import load_bundle
from storage.engine import Database
from storage.errors import NotFound, StorageError
from storage.orm.base import JsonObject

_PARTS: tuple[Part, ...] = ("out_of_fold", "holdout")
MAX_CLASS_CURVES = 4
MAX_CONFUSED_CLASSES = 12


@dataclass(frozen=True, slots=True)
class ClassCalibration:
    """Of one class against the rest; `label` None is the probability of the most probable class."""

    label: JsonScalar | None
    is_top_label: bool
    bins: list[CalibrationBin]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows by true (rows) and decided class (columns) of the most frequent classes; `num_more` are in none of them."""

    classes: list[JsonScalar]
    counts: list[list[int]]
    num_more_classes: int


@dataclass(frozen=True, slots=True)
class NumberFit:
    """`points` are (predicted, observed) of a sample over the whole range."""

    points: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class JudgedPart:
    on: Part
    num_rows: int
    calibrations: list[ClassCalibration]
    confusion: Confusion | None
    numbers: NumberFit | None
    coverage: list[CoveragePoint]


@dataclass(frozen=True, slots=True)
class HeadReport:
    """`decision` as in `DecisionBody`, of this head; the notes say why something is not there."""

    table: str
    head: HeadDetail
    target: TargetBody
    encoder: EncoderDetail | None
    parts: list[JudgedPart]
    parts_note: str | None
    decision: JsonObject | None
    decision_note: str | None


class HeadReportService:
    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        heads: HeadService,
        targets: TargetService,
        encoders: EncoderService,
    ) -> None:
        self._database = database
        self._store = store
        self._heads = heads
        self._targets = targets
        self._encoders = encoders

    def get(self, principal: Principal, table: str, target: str, version: int) -> HeadReport:
        """Raises: NotFound; ResourceConflict `head_not_ready`."""
        found = self._heads.get(principal, table, target, version)
        if found.status != "ready":
            why = "" if found.error is None else f" {found.error.message}"
            raise ResourceConflict(
                f"Version {version} is {found.status}; there is a report of heads that are ready.{why}",
                code="head_not_ready",
                details={"status": found.status},
            )
        body = self._targets.get(principal, table, target)
        try:
            encoder = self._encoders.get(principal, table, found.encoder)
        except NotFound:
            encoder = None
        try:
            files = self._files(principal, table, target, version)
            head, judged = _read(files)
            decision, decision_note = _decision(body, found, head)
            parts = [_part(rows, head, decision) for rows in judged]
        except (BundleError, StorageError) as error:
            if isinstance(error, NotFound):
                raise
            unread = f"The stored head cannot be read ({error.code}); fit it again."
            return HeadReport(table, found, body, encoder, [], unread, None, None)
        outcome = evaluated(judged, decision) if judged and head.classes is not None else None
        note = None if judged else "No row was kept that the head was judged on."
        return HeadReport(table, found, body, encoder, parts, note, outcome, decision_note)

    def _files(self, principal: Principal, table: str, target: str, version: int) -> dict[str, bytes]:
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            digest = uow.heads.by_version(row.id, version).manifest_digest
        return {} if digest is None else load_bundle(self._store, principal.workspace_id, digest)


def _read(files: Mapping[str, bytes]) -> tuple[FittedHead, list[JudgedRows]]:
    """Raises: BundleError."""
    head = load_head(files)
    judged = [
        JudgedRows.from_bytes(files[name], head.task, part)
        for part in _PARTS
        if (name := f"judged_{part}.safetensors") in files
    ]
    return head, [rows for rows in judged if len(rows)]


def _decision(target: TargetBody, found: HeadDetail, head: FittedHead) -> tuple[Decision, str | None]:
    """The target's rule bound to this head; the most probable class with a note where it does not fit."""
    rule = rule_of(target.decision)
    if rule is None or head.classes is None:
        return MOST_PROBABLE, None
    stored = (found.report or {}).get("score_quantiles")
    try:
        return rule.bind(head.classes, None if stored is None else ScoreQuantiles.from_json(stored)), None
    except InputError as error:
        return (
            MOST_PROBABLE,
            f"The target's decision rule does not fit this head: {error.message} Shown is the most probable class.",
        )


def _part(judged: JudgedRows, head: FittedHead, decision: Decision) -> JudgedPart:
    if judged.task is Task.REGRESSION or head.classes is None:
        return JudgedPart(judged.on, len(judged), [], None, _numbers(judged), _coverage(judged, head))
    return JudgedPart(
        judged.on,
        len(judged),
        _calibrations(judged, head.classes),
        _confusion(judged, head.classes, decision),
        None,
        _coverage(judged, head),
    )


def _calibrations(judged: JudgedRows, classes: tuple[JsonScalar, ...]) -> list[ClassCalibration]:
    labels, outputs = judged.labels.astype(np.int64), judged.outputs
    if judged.task is Task.BINARY:
        bins = calibration_bins(outputs[:, 1], labels == 1, judged.weights)
        return [ClassCalibration(classes[-1], False, bins)]
    chosen = outputs.argmax(axis=1)
    top = calibration_bins(outputs.max(axis=1), chosen == labels, judged.weights)
    counts = np.bincount(labels, minlength=len(classes))
    frequent = np.argsort(-counts, kind="stable")[:MAX_CLASS_CURVES]
    return [
        ClassCalibration(None, True, top),
        *(
            ClassCalibration(classes[k], False, calibration_bins(outputs[:, k], labels == k, judged.weights))
            for k in frequent
        ),
    ]


def _confusion(judged: JudgedRows, classes: tuple[JsonScalar, ...], decision: Decision) -> Confusion:
    counts = confusion_counts(judged.labels, decision.decide(judged.outputs), len(classes))
    shown = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MAX_CONFUSED_CLASSES])
    return Confusion(
        [classes[k] for k in shown], counts[np.ix_(shown, shown)].tolist(), len(classes) - len(shown)
    )


def _numbers(judged: JudgedRows) -> NumberFit:
    sample = spread_sample(judged.outputs)
    points = list(zip(judged.outputs[sample].tolist(), judged.labels[sample].tolist(), strict=True))
    return NumberFit(points)


def _coverage(judged: JudgedRows, head: FittedHead) -> list[CoveragePoint]:
    """What the head's intervals or sets come to on the hold-out; out of fold the report says it, fold by fold."""
    if judged.on != "holdout" or not is_scoring(head):
        return []
    found = []
    for asked in COVERAGES:
        if judged.task is Task.REGRESSION:
            intervals = head.finishing.intervals_around(judged.outputs, asked)
            if intervals is not None:
                found.append(interval_coverage(asked, judged.labels, intervals, judged.weights))
        elif head.finishing.sets is not None:
            in_set = head.finishing.sets.contains(judged.outputs, asked)
            found.append(set_coverage(asked, judged.labels, in_set, judged.weights))
    return found
