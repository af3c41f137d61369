"""After heads are fitted: how their scores are spread over the table, and what the target's decision rule comes to.

Shape letters: `s` sampled rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from models.errors import InputError
from models.evaluation.decisions import decision_metrics
from models.evaluation.judged import JudgedRows
from models.features.schema import Task
from models.heads.decision import MOST_PROBABLE, Decision, DecisionRule
from models.heads.scores import ScoreQuantiles
from models.predictor import Predictor
from models.training.targets import HeadResult, JsonObject
from models.training.view_features import ViewSample, compute_features

MAX_SCORED_ROWS = 20_000
MIN_SCORED_ROWS = 2_000
SCORE_SHARE = 0.1  # of a view's time, at most
ELAPSED_SHARE = 0.15  # of what its heads took so far: a head that is fitted in a second is served in a second
MIN_SECONDS = 0.15
_CHUNK_ROWS = 4_096


def with_scores(
    predictor: Predictor,
    frame: pl.DataFrame,
    sample: ViewSample,
    results: Sequence[HeadResult],
    elapsed: float,
    seconds: float,
    advance: Callable[[int], None],
) -> list[HeadResult]:
    """The results with `score_quantiles` in the report of binary ones: positive probabilities of a fixed sample of rows,
    whose features are computed once for all heads of the view. `elapsed` and `seconds`: what the view took, and what is
    left for it.

    Raises:
        Interrupted: whatever `advance` raises.
    """
    binary = [result for result in results if result.head.task is Task.BINARY]
    if not binary or len(frame) == 0:
        return list(results)
    allowed = min(SCORE_SHARE * max(seconds, 0.0), max(MIN_SECONDS, ELAPSED_SHARE * elapsed))
    affordable = int(allowed / max(sample.seconds_per_row, 1e-9))
    count = min(len(frame), MAX_SCORED_ROWS, max(MIN_SCORED_ROWS, affordable))
    rows = np.sort(np.random.default_rng([0, 4]).choice(len(frame), count, replace=False))
    scores: dict[str, list[np.ndarray]] = {result.name: [] for result in binary}
    for start in range(0, count, _CHUNK_ROWS):
        found = compute_features(predictor.bundle, frame, sample, rows[start : start + _CHUNK_ROWS], advance)
        predictions = predictor.predict_codes(
            found.codes, [result.head for result in binary], features={sample.view: found.features}
        )
        for result, prediction in zip(binary, predictions, strict=True):
            scores[result.name].append(prediction.outputs[:, 1])
    return [
        replace(result, report=result.report | {"score_quantiles": quantiles.to_json()})
        if (quantiles := _quantiles(scores.get(result.name), len(frame))) is not None
        else result
        for result in results
    ]


def _quantiles(scores: list[np.ndarray] | None, num_rows: int) -> ScoreQuantiles | None:
    return None if scores is None else ScoreQuantiles.of(np.concatenate(scores), num_rows=num_rows)


def with_decision(result: HeadResult, rule: DecisionRule | None) -> HeadResult:
    """The result with `decision_metrics` in its report, where the target has a decision rule."""
    if rule is None or result.head.classes is None:
        return result
    stored = result.report.get("score_quantiles")
    try:
        decision = rule.bind(
            result.head.classes, None if stored is None else ScoreQuantiles.from_json(stored)
        )
    except InputError as error:
        body: JsonObject = {"decision": rule.model_dump(mode="json"), "reason": error.message}
    else:
        body = evaluated(result.judged, decision)
    return replace(result, report=result.report | {"decision_metrics": body})


def evaluated(judged: Sequence[JudgedRows], decision: Decision) -> JsonObject:
    """`metrics` of the decision per judged part, beside those of deciding for the most probable class."""
    return {
        "decision": decision.words,
        "metrics": {
            part.on: decision_metrics(part, decision.decide(part.outputs), decision.costs) for part in judged
        },
        "most_probable": {
            part.on: decision_metrics(part, MOST_PROBABLE.decide(part.outputs), decision.costs)
            for part in judged
        },
    }
