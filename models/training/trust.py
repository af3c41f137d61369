"""What a head's promises come to out of fold, and whether it finds anything in labels that mean nothing.

Coverage is cross-fitted: calibration, sets and intervals that are judged on a fold were fitted without it. The control
fits the head again on labels that have changed places, out of fold too: it must be as good as chance. If it is not, rows
of different folds give each other's labels away, and then the head's own figures are too good.

Shape letters: `m` rows judged out of fold, `O` outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models.errors import InputError
from models.evaluation.curves import share_interval
from models.evaluation.estimates import Estimate
from models.evaluation.judged import JudgedRows
from models.evaluation.metrics import NO_SKILL, PRIMARY, estimate_all
from models.features.column_values import ColumnValues
from models.features.schema import Task
from models.heads.finishing import Finishing
from models.heads.folds import Folds
from models.heads.prediction import FloatArray, IndexArray
from models.heads.problem import HeadFit, HeadProblem
from models.training.targets import JsonObject

COVERAGES = (0.5, 0.8, 0.9, 0.95)
MAX_CONTROL_ROWS = 2_000
MIN_CONTROL_ROWS = 20
TIME_SHARE = 0.2  # of what is left for the target
ALARM_LEVEL = 0.999  # one fit in two thousand is warned of by chance


def with_trust(
    problem: HeadProblem,
    fit: HeadFit,
    fit_again: Callable[[HeadProblem], HeadFit],
    *,
    seconds: float,
    seed: int,
) -> HeadFit:
    """The fit with `coverage` and `permutation_control` in its report, and a warning where the control is no chance.

    `seconds` is how long the fit took, `fit_again` fits the same kind of head.

    Raises:
        Interrupted: the caller asked to stop.
    """
    folds = problem.folds
    if folds is None or fit.out_of_fold is None:
        return fit
    report: JsonObject = dict(fit.report)
    if fit.scores is not None:
        rows = folds.rows
        report["coverage"] = cross_fitted_coverage(
            problem.task, fit.scores, problem.labels[rows], problem.weights[rows], folds
        )
    control = permutation_control(problem, folds, fit_again, seconds=seconds, seed=seed)
    report["permutation_control"] = control
    warnings = fit.warnings
    if control.get("is_above_chance"):
        warnings += (
            f"with labels that have changed places this head still reaches {control['metric']} {control['value']:.3f} out of "
            "fold, which no honest fit can: rows of different folds give each other's labels away (repeated rows, rows of "
            "one person or place). Name the column that holds them together as a group, and fit again",
        )
    return replace(fit, report=report, warnings=warnings)


def cross_fitted_coverage(
    task: Task, scores: FloatArray, labels: FloatArray, weights: FloatArray, folds: Folds
) -> list[JsonObject]:
    """Per coverage asked for: the share found with its 95 % interval, and the mean size of sets or width of intervals.

    `scores` [m, O] at `labels` [m] with `weights` [m], those of `folds.rows`.
    """
    assignment = folds.assignment[0]
    parts = [
        (held_out, Finishing.fit_rows(task, scores[~held_out], labels[~held_out], weights[~held_out]))
        for held_out in (assignment == number for number in range(folds.num_folds))
        if held_out.any() and not held_out.all()
    ]
    found = []
    for asked in COVERAGES:
        hits, sizes = np.zeros(len(labels)), np.zeros(len(labels))
        for held_out, finishing in parts:
            prediction = finishing.apply(task, scores[held_out], asked)
            if prediction.interval is not None:
                low, high = prediction.interval.T
                hits[held_out] = (low <= labels[held_out]) & (labels[held_out] <= high)
                sizes[held_out] = high - low
            elif prediction.in_set is not None:
                places = labels[held_out].astype(np.int64)
                hits[held_out] = prediction.in_set[np.arange(len(places)), places]
                sizes[held_out] = prediction.in_set.sum(axis=1)
        share = float(np.average(hits, weights=weights))
        low_end, high_end = share_interval(share, weights)
        size = float(np.average(sizes, weights=weights))
        measure = "mean_width" if task is Task.REGRESSION else "mean_size"
        found.append({"asked": asked, "found": share, "low": low_end, "high": high_end, measure: size})
    return found


def permutation_control(
    problem: HeadProblem,
    folds: Folds,
    fit_again: Callable[[HeadProblem], HeadFit],
    *,
    seconds: float,
    seed: int,
) -> JsonObject:
    """`{"metric", "value", "low", "high", "chance", "n", "is_above_chance"}` of one fit on permuted labels, one repeat, at
    most 2,000 rows; or `{"reason"}`.

    Rows that are alike keep a common label: with each its own, repeated rows could give nothing away.
    """
    generator = np.random.default_rng([seed, 6])
    rows = folds.rows
    if len(rows) > MAX_CONTROL_ROWS:
        rows = np.sort(generator.choice(rows, MAX_CONTROL_ROWS, replace=False))
    expected = seconds / folds.num_repeats * len(rows) / max(len(problem.labels), 1)
    if expected > TIME_SHARE * problem.pace.seconds_left:
        return {"reason": "time was short; raise max_seconds to have it"}
    if len(rows) < MIN_CONTROL_ROWS:
        return {"reason": f"{len(rows)} labels in folds, {MIN_CONTROL_ROWS} are needed"}
    labels = _permuted(problem.columns.values.numpy()[rows], problem.labels[rows], generator)
    numbers, assignment = np.unique(
        folds.assignment[0, np.searchsorted(folds.rows, rows)], return_inverse=True
    )
    if len(numbers) < 2:
        return {"reason": "too few folds"}
    if problem.task is not Task.REGRESSION and not _has_two_classes(labels, assignment):
        return {"reason": "too few labels of the rarer class"}
    weights = problem.weights[rows]
    shuffled = replace(
        problem,
        features=problem.features[rows],
        columns=ColumnValues(problem.columns.values[rows], problem.columns.num_categorical),
        labels=labels,
        weights=weights / weights.mean(),
        tunable=None if problem.tunable is None else problem.tunable.at(rows),
        folds=Folds(np.arange(len(rows), dtype=np.int64), assignment[None].astype(np.int8), len(numbers)),
    )
    try:
        outputs = fit_again(shuffled).out_of_fold
    except InputError:
        outputs = None
    if outputs is None:
        return {"reason": "the head cannot be fitted on permuted labels"}
    judged = JudgedRows(problem.task, "out_of_fold", rows, labels, outputs, shuffled.weights)
    return _control_json(estimate_all(judged).get(PRIMARY[problem.task]), problem.task, len(rows))


def _control_json(estimate: Estimate | None, task: Task, num_rows: int) -> JsonObject:
    interval = None if estimate is None else estimate.interval()
    sure = None if estimate is None else estimate.interval(ALARM_LEVEL)
    if estimate is None or estimate.value is None or interval is None or sure is None:
        return {"reason": (estimate.reason if estimate is not None else None) or "too few labels"}
    chance = NO_SKILL[task]
    return {
        "metric": PRIMARY[task],
        "value": estimate.value,
        "low": interval.low,
        "high": interval.high,
        "chance": chance,
        "n": num_rows,
        "is_above_chance": sure.low > chance,
    }


def _permuted(values: FloatArray, labels: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Labels [n] that have changed places; rows of `values` [n, C'] that are alike share one."""
    same = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    unit_of = (
        np.unique(same, axis=0, return_inverse=True)[1].ravel() if same.shape[1] else np.arange(len(labels))
    )
    first: IndexArray = np.unique(unit_of, return_index=True)[1]
    return np.asarray(labels[generator.permutation(first)][unit_of])


def _has_two_classes(labels: FloatArray, assignment: np.ndarray) -> bool:
    return all(len(np.unique(labels[assignment != number])) > 1 for number in np.unique(assignment))
