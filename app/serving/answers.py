"""The body of a prediction's answer, column by column; no object per row is ever made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

import numpy as np
import numpy.typing as npt

from app.errors import ResourceConflict
from app.serving.catalog_index import Resolution
from app.serving.decisions import decision_of
from app.serving.errors import ModelUnavailable
from models.errors import InputError
from models.features.schema import JsonScalar
from models.heads import FittedHead, HeadPrediction
from models.heads.decision import Decision
from models.predictor import PredictionBatch
from storage.orm.base import JsonObject


def answer_body(
    resolution: Resolution,
    keys: Sequence[str | int] | None,
    results: Mapping[str, tuple[FittedHead, HeadPrediction]],
    counts: Iterable[tuple[PredictionBatch, frozenset[str]]],
    *,
    is_every_target: bool = False,
    with_sets: bool = False,
) -> JsonObject:
    """The body of DESIGN §6.

    `results` maps head ids; `counts` are, per encoder pass, its batch and the columns it was not to see.
    `keys` come back as they were sent; null for rows by value. `is_every_target`: of the targets that were not named one
    by one, those whose decision rule does not fit their head are skipped. `with_sets`: classes that a row may be of, at the
    coverage that the predictions were made for.

    Raises: ModelUnavailable (prediction_not_finite) rather than answer with NaN; ResourceConflict
        (decision_does_not_fit, no_score_quantiles).
    """
    predictions: JsonObject = {}
    skipped = dict(resolution.skipped)
    for resolved in resolution.heads:
        head, prediction = results[resolved.head.id]
        try:
            decision = decision_of(resolved, head)
        except InputError as error:
            if not is_every_target:
                raise ResourceConflict(
                    f"The decision rule of the target {resolved.target.name!r} cannot be applied to its head version "
                    f"{resolved.head.version}: {error.message}",
                    code=error.code,
                    details={"reference": resolved.reference},
                ) from error
            skipped[resolved.reference] = error.code
            continue
        predictions[resolved.reference] = {
            "head": resolved.head.version,
            "encoder": resolved.encoder.version,
            **_columns(head, prediction, decision, with_sets=with_sets),
        }
    return {
        "keys": keys,
        "predictions": predictions,
        "input": _input_counts(counts),
        "skipped": skipped,
    }


def _columns(
    head: FittedHead, prediction: HeadPrediction, decision: Decision, *, with_sets: bool
) -> JsonObject:
    if prediction.probabilities is not None and head.classes is not None:
        probabilities = _finite(prediction.probabilities)
        columns: JsonObject = {
            "classes": list(head.classes),
            "label": list(map(head.classes.__getitem__, decision.decide(probabilities).tolist())),
            "probabilities": probabilities,
            "decision": decision.words,
        }
        if with_sets:
            columns["set"] = _sets(head.classes, prediction.in_set)
        return columns
    if prediction.value is None:
        raise ModelUnavailable(f"a {head.kind} head gave no prediction", code="prediction_missing")
    interval = prediction.interval
    return {
        "value": _finite(prediction.value),
        "interval": None if interval is None else _finite(interval),
    }


def _sets(
    classes: Sequence[JsonScalar], in_set: npt.NDArray[np.bool_] | None
) -> list[list[JsonScalar]] | None:
    """Classes of each row, in the order of `classes`; None where the head has no sets."""
    return None if in_set is None else [list(compress(classes, row)) for row in in_set.tolist()]


def _finite(numbers: np.ndarray) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ModelUnavailable(
            "a head gave a number that is not finite; fit it again", code="prediction_not_finite"
        )
    return np.ascontiguousarray(numbers)  # what orjson can write


def _input_counts(counts: Iterable[tuple[PredictionBatch, frozenset[str]]]) -> JsonObject:
    """Missing and unseen cells per column; columns without any, or that no head looked at, are left out."""
    missing: dict[str, int] = {}
    unseen: dict[str, int] = {}
    for batch, absent in counts:
        for into, found in ((missing, batch.missing), (unseen, batch.unseen)):
            for column, count in found.items():
                if count and column not in absent:
                    into[column] = max(count, into.get(column, 0))
    return {"missing": missing, "unseen": unseen}
