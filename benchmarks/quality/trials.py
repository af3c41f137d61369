"""Runs one trial: rows, fit, predictions, measures. What comes back is plain JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality.confidence import FitsMany, Prepares, SaysHowSure
from benchmarks.quality.damage import damaged_frames
from benchmarks.quality.manifest import DataError, read_manifest
from benchmarks.quality.measures import PRIMARY, measure
from benchmarks.quality.promises import interval_figures, set_figures
from benchmarks.quality.protocol import Split, make_trial, split_rows
from benchmarks.quality.specification import Request, Setting, TrialSpec, make_system
from benchmarks.quality.tables import Study, load_studies
from benchmarks.quality.trial import FloatArray, Predict, System, Trial
from models.features.schema import Task

COVERAGE = 0.9
Record = dict[str, Any]


def run_trial(request: Request) -> Record:
    """Figures of one trial: `metrics`, `seconds`, and what was fitted on what.

    Raises:
        Exception: whatever the system or the data raise; the caller records it.
    """
    spec = request.spec
    system = make_system(spec.system, request.setting)
    targets = (spec.target, *spec.together)
    studies = _studies(request.setting.data, spec.table, targets, spec.keep_traps)
    split = _split(studies[0], spec.split)
    trials = [_trial(study, split, spec, request.setting) for study in studies]
    prepared = system.prepare(trials[0]) if isinstance(system, Prepares) else None
    test = studies[0].frame[split.test]
    if spec.measure == "many_targets":
        record = _run_many(system, trials, studies, split, test)
    else:
        record = _run_one(system, trials[0], studies[0], split, test, spec.measure == "robustness")
    if prepared is not None:
        record["prepared"] = prepared
    return record | {
        "num_labels": len(trials[0].labels),
        "num_train": len(split.train),
        "num_test": len(split.test),
        "task": studies[0].task.value,
        "num_classes": len(studies[0].classes),
    }


def _run_one(
    system: System, trial: Trial, study: Study, split: Split, test: pl.DataFrame, is_damaged: bool
) -> Record:
    started = time.perf_counter()
    predict = system.fit(trial)
    fitted = time.perf_counter()
    labels = study.labels[split.test]
    metrics: dict[str, float] = {}
    sure: object = predict
    if isinstance(sure, SaysHowSure):
        found = sure.with_confidence(test, COVERAGE)
        outputs = found.outputs
        if found.interval is not None and study.task is Task.REGRESSION:
            kept = interval_figures(found.interval, outputs, labels, COVERAGE)
            metrics = {
                "coverage": kept.found,
                "worst_coverage": kept.worst_fifth,
                "interval_width": kept.mean_width,
            }
        elif found.in_set is not None:
            sets = set_figures(found.in_set, labels.astype(np.int64), COVERAGE)
            metrics = {
                "coverage": sets.found,
                "worst_coverage": sets.worst_class,
                "set_size": sets.mean_size,
            }
    else:
        outputs = predict(test)
    predicted = time.perf_counter()
    metrics |= measure(outputs, labels, study.task, len(study.classes))
    if is_damaged:
        metrics |= _under_damage(predict, trial, study, split, test)
    return {
        "metrics": _plain(metrics),
        "seconds": {"fit": round(fitted - started, 3), "predict": round(predicted - fitted, 3)},
    }


def _under_damage(
    predict: Predict, trial: Trial, study: Study, split: Split, test: pl.DataFrame
) -> dict[str, float]:
    name, labels = PRIMARY[study.task], study.labels[split.test]
    found = {f"{name}_damaged_0": measure(predict(test), labels, study.task, len(study.classes))[name]}
    train = study.frame[trial.train_rows]
    for damage, frame in damaged_frames(test, train, np.random.default_rng(trial.split)):
        found[f"{name}_{damage}"] = measure(predict(frame), labels, study.task, len(study.classes))[name]
    return found


def _run_many(
    system: System, trials: Sequence[Trial], studies: Sequence[Study], split: Split, test: pl.DataFrame
) -> Record:
    started = time.perf_counter()
    if isinstance(system, FitsMany):
        predicts = system.fit_many(trials)
        fitted = time.perf_counter()
        outputs = system.predict_many(predicts, test)
    else:
        predicts = [system.fit(trial) for trial in trials]
        fitted = time.perf_counter()
        outputs = [predict(test) for predict in predicts]
    predicted = time.perf_counter()
    scores: dict[str, float] = {}
    for study, output in zip(studies, outputs, strict=True):
        scores[study.target] = _judged(study, split, output)
    return {
        "metrics": {"mean_score": float(np.mean(list(scores.values())))},
        "scores": _plain(scores),
        "seconds": {"fit": round(fitted - started, 3), "predict": round(predicted - fitted, 3)},
    }


def _judged(study: Study, split: Split, output: FloatArray) -> float:
    """The primary metric where the target has labels; a split is stratified by the first target alone."""
    labels = study.labels[split.test]
    known = np.isfinite(labels)
    return measure(output[known], labels[known], study.task, len(study.classes))[PRIMARY[study.task]]


def _plain(metrics: dict[str, float]) -> dict[str, float | None]:
    return {name: round(value, 6) if np.isfinite(value) else None for name, value in metrics.items()}


def _trial(study: Study, split: Split, spec: TrialSpec, setting: Setting) -> Trial:
    return make_trial(
        study,
        split,
        protocol=spec.protocol,
        number=spec.split,
        draw=spec.draw,
        num_labels=spec.labels,
        threads=setting.threads,
    )


@lru_cache(maxsize=2)
def _studies(data: Path, table: str, targets: tuple[str, ...], keep_traps: bool) -> tuple[Study, ...]:
    entry = read_manifest(data).get(table)
    if entry is None:
        raise DataError(f"the manifest has no table {table!r}")
    return load_studies(data, entry, targets, keep_traps=keep_traps)


@lru_cache(maxsize=4)
def _split(study: Study, split: int) -> Split:
    return split_rows(study, split)
