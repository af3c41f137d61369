"""Heads that learn nothing from labels: the encoder's guess of the target's own column, judged on hold-out labels.

Shape letters: `h` hold-out rows, `V` values of a column.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import torch

from models.bundle import EncoderBundle
from models.errors import InputError
from models.evaluation.judged import JudgedRows
from models.features.codec import NUM_SPECIAL_CODES
from models.features.column_values import ColumnValues
from models.features.schema import Task
from models.heads import HeadConfig
from models.heads.prediction import FittedHead, FloatArray, IndexArray
from models.heads.problem import GuessedColumn, HeadProblem, Pace
from models.heads.scaling import FeatureScaling
from models.heads.scores import ScoreQuantiles
from models.heads.zero_shot import NOT_PRETRAINED, inside_of
from models.predictor import Predictor
from models.training.deciding import with_decision
from models.training.judging import Bench, judge_head
from models.training.labels import holdout_labels
from models.training.targets import HeadResult, JsonObject, TargetData

CHUNK_ROWS = 4_096
MAX_SCORED_ROWS = 4_000
UNCHECKED = "intervals are those of the guessed distribution; no label has checked their coverage"


def guess_head(
    predictor: Predictor,
    frame: pl.DataFrame,
    target: TargetData,
    config: HeadConfig,
    *,
    pace: Pace,
    generator: np.random.Generator,
    identify: Callable[[JudgedRows], JudgedRows],
) -> HeadResult:
    """The head of `target` from what the encoder learned in pretraining; labels of the train part are not looked at.

    Raises:
        InputError: the encoder does not guess the target's column, or not in the target's terms.
        Interrupted: the caller asked to stop.
    """
    guessed = guessed_column(predictor.bundle, target)
    holdout = holdout_labels(target, len(frame), generator)
    fit = config.fit(_problem(target, guessed, predictor.fingerprint, pace))
    bench = Bench.of(target.task, None, holdout, seen=True)
    outputs = _outputs(predictor, frame, fit.head, holdout.rows, pace) if bench.holdout is not None else None
    judgement = judge_head(bench, None, outputs, {})
    report: JsonObject = {
        **fit.report,
        "num_labels": len(holdout),
        "num_fitted": 0,
        "num_holdout": len(holdout),
        "seen_in_pretraining": True,
        "not_reported": list(bench.reasons),
        "comparisons": {},
    }
    if target.task is Task.BINARY and len(frame):
        rows = np.sort(generator.permutation(len(frame))[:MAX_SCORED_ROWS])
        scores = _outputs(predictor, frame, fit.head, rows, pace)[:, 1]
        report["score_quantiles"] = ScoreQuantiles.of(scores, num_rows=len(frame)).to_json()
    warnings = [*fit.warnings, bench.reasons[0]]
    if target.task is Task.REGRESSION:
        warnings.append(UNCHECKED)
    result = HeadResult(
        target.name,
        fit.head,
        judgement.metrics,
        judgement.baselines,
        _verdict(judgement.verdict, bool(judgement.judged), judgement.beats_constant, len(holdout)),
        warnings,
        judgement.beats_constant,
        report,
        tuple(identify(judged) for judged in judgement.judged),
    )
    return with_decision(result, target.decision)


def guessed_column(bundle: EncoderBundle, target: TargetData) -> GuessedColumn:
    """The target's own column as the encoder knows it.

    Raises:
        InputError: it does not (`not_pretrained_column`), or keeps no guesses (`no_column_guesses`).
    """
    if target.column is None or target.column not in bundle.codec.names:
        what = (
            f"{target.name!r} has labels by key and no column of its own"
            if target.column is None
            else f"the column {target.column!r} was no categorical, boolean or continuous feature in pretraining"
        )
        raise InputError(
            f"zero_shot predicts a feature column that the encoder was pretrained on; {what}. Ask for the head kind "
            "linear, or give the column the role feature and pretrain again.",
            code=NOT_PRETRAINED,
        )
    if bundle.column_guesses is None:
        raise InputError(
            "The encoder keeps no guesses of its columns: it was pretrained without the objective masked_columns, or by "
            "an earlier version. Pretrain again with it.",
            code="no_column_guesses",
        )
    position = bundle.codec.names.index(target.column)
    column, codes = bundle.codec.columns[position], bundle.reference_codes
    local = codes.index[:, position].to(torch.int64) - bundle.codec.offsets[position] - NUM_SPECIAL_CODES
    return GuessedColumn(column, inside_of(column, local, codes.fraction[:, position]))


def _problem(target: TargetData, guessed: GuessedColumn, fingerprint: str, pace: Pace) -> HeadProblem:
    nothing = torch.empty(0)
    return HeadProblem(
        task=target.task,
        classes=target.classes,
        view=target.view,
        encoder_fingerprint=fingerprint,
        features=torch.empty(0, 0),
        columns=ColumnValues(torch.empty(0, 0), 0),
        scaling=FeatureScaling(nothing, nothing),
        labels=np.empty(0),
        weights=np.empty(0),
        folds=None,
        pace=pace,
        guessed=guessed,
    )


def _outputs(
    predictor: Predictor, frame: pl.DataFrame, head: FittedHead, rows: IndexArray, pace: Pace
) -> FloatArray:
    """Probabilities [h, K] or values [h] of the rows at `rows` [h], chunk by chunk."""
    names = [name for name in predictor.bundle.codec.sources if name in frame.columns]
    parts = []
    for start in range(0, len(rows), CHUNK_ROWS):
        pace.check()
        part = frame.select(names)[rows[start : start + CHUNK_ROWS]]
        parts.append(predictor.predict(part, [head]).predictions[0].outputs)
    return np.concatenate(parts)


def _verdict(verdict: str, is_judged: bool, beats_constant: bool, num_labels: int) -> str:
    if not is_judged:
        return verdict
    if beats_constant:
        return f"Without any label the encoder predicts this better than a constant ({num_labels:,} hold-out labels)."
    return (
        "Without any label the encoder is not shown to predict this better than a constant "
        f"({num_labels:,} hold-out labels); fit a head on labels instead."
    )
