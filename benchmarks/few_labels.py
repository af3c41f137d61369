"""The linear head against LightGBM with few labels of a binary target, on the same hold-out rows.

    python -m benchmarks.few_labels --data DIR [--table bank_marketing --target y] [--labels 500] [--draws 10]

The target column has the role `target`, so codec and encoder never see it. One encoder is pretrained on the training
part without labels; for each draw the same labels go to the linear head and to LightGBM. LightGBM is tuned inside the
labels: five-fold cross-validated AUC over the grid below chooses leaves, smallest leaf and number of rounds, then it is
fitted to all labels of the draw. Both are judged on the evaluation part, which nothing was chosen on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from scipy.stats import rankdata, t

from benchmarks.machine import describe, machine, write_results
from models.bundle import EncoderBundle
from models.encoders import DEFAULT
from models.features.kinds import infer_schema
from models.features.schema import SPLIT_COLUMN, ColumnKind, ColumnOverride, Role, SplitBy, TableSchema, Task
from models.features.splits import assign_splits
from models.heads import LinearHeadConfig
from models.objectives import MaskedColumnsConfig
from models.predictor import Predictor
from models.progress import never_stop, no_progress
from models.training.finetuning import HeadFailure, TargetData, fit_heads
from models.training.pretraining import pretrain

NUM_LEAVES = (4, 8, 16, 31)
SMALLEST_LEAF_SHARES = (0.01, 0.02, 0.05)  # of the labels, at least 2; never the default of 20
LEARNING_RATE = 0.05
MAX_ROUNDS = 300
NUM_FOLDS = 5

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Study:
    """One table ready for draws. `labels` int64 [N]: 0, 1, or -1 where there is none."""

    frame: pl.DataFrame
    schema: TableSchema
    classes: tuple[str, ...]
    target: str
    labels: IndexArray
    is_evaluation: npt.NDArray[np.bool_]


def main() -> None:
    arguments = _arguments()
    study = prepare(arguments)
    torch.set_num_threads(arguments.threads)
    bundle = pretrain(
        study.frame,
        study.schema,
        architecture=DEFAULT,
        objectives=[MaskedColumnsConfig()],
        max_seconds=arguments.pretrain_seconds,
        seed=0,
        checkpoint_dir=None,
        progress=no_progress,
        should_stop=never_stop,
    )
    torch.set_num_threads(arguments.threads)
    holdout = np.flatnonzero(study.is_evaluation & (study.labels >= 0))
    columns = raw_columns(study)
    figures = []
    for draw in range(arguments.draws):
        rows = draw_labels(study, arguments.labels, seed=draw)
        ours = head_auc(study, bundle, rows, holdout)
        theirs = boosted_auc(study, columns, rows, holdout, seed=draw, num_threads=arguments.threads)
        figures.append((ours, theirs))
        sys.stderr.write(f"draw {draw}: linear {100 * ours:.2f}, LightGBM {100 * theirs:.2f}\n")
    report(arguments, study, bundle, holdout, np.array(figures) * 100)


def prepare(arguments: argparse.Namespace) -> Study:
    manifest = json.loads((arguments.data / "manifest.json").read_text())
    entry = next(entry for entry in manifest["tables"] if entry["name"] == arguments.table)
    frame = pl.read_parquet(arguments.data / entry["file"])
    frame = frame.drop([name for name in arguments.drop.split(",") if name])
    schema = infer_schema(frame, {arguments.target: ColumnOverride(role=Role.TARGET)})
    sides = assign_splits(frame, schema, SplitBy(), 0.1)
    texts = frame[arguments.target].cast(pl.String)
    classes = tuple(sorted(texts.drop_nulls().unique().to_list()))
    if len(classes) != 2:
        raise SystemExit(f"a binary target is needed; {arguments.target} has {len(classes)} classes")
    labels = np.array([-1 if text is None else classes.index(text) for text in texts], dtype=np.int64)
    is_evaluation = (sides == "evaluation").to_numpy()
    return Study(
        frame.with_columns(sides.alias(SPLIT_COLUMN)),
        schema,
        classes,
        arguments.target,
        labels,
        is_evaluation,
    )


def draw_labels(study: Study, num_labels: int, *, seed: int) -> IndexArray:
    """Training rows whose labels are known in this draw, uniformly at random; both classes are among them."""
    rows = np.flatnonzero(~study.is_evaluation & (study.labels >= 0))
    generator = np.random.default_rng(seed)
    while True:
        drawn = np.sort(generator.choice(rows, num_labels, replace=False))
        if len(np.unique(study.labels[drawn])) == 2:
            return drawn


def head_auc(study: Study, bundle: EncoderBundle, rows: IndexArray, holdout: IndexArray) -> float:
    data = TargetData(
        name=study.target,
        task=Task.BINARY,
        classes=study.classes,
        view=(study.target,),
        rows=rows,
        values=study.labels[rows],
        weights=None,
        evaluation=np.zeros(len(rows), dtype=bool),
        seen_in_pretraining=False,
    )
    (result,) = fit_heads(
        bundle, study.frame, [data], LinearHeadConfig(), seed=0, max_seconds=600, baselines=False
    )
    if isinstance(result, HeadFailure):
        raise SystemExit(f"the head could not be fitted: {result.message}")
    (prediction,) = Predictor(bundle).predict(study.frame[holdout], [result.head]).predictions
    assert prediction.probabilities is not None
    return rank_auc(prediction.probabilities[:, 1], study.labels[holdout])


def raw_columns(study: Study) -> tuple[FloatArray, list[int]]:
    """Columns as LightGBM takes them, float64 [N, C] with NaN where missing, and positions of the categorical ones."""
    columns = study.schema.encoded
    values = [
        (
            study.frame[column.name].cast(pl.Float64)
            if column.kind is ColumnKind.CONTINUOUS
            else study.frame[column.name].cast(pl.String).rank("dense").cast(pl.Float64)
        )
        .fill_null(float("nan"))
        .to_numpy()
        for column in columns
    ]
    return np.stack(values, axis=1), [
        i for i, column in enumerate(columns) if column.kind is not ColumnKind.CONTINUOUS
    ]


def boosted_auc(
    study: Study,
    columns: tuple[FloatArray, list[int]],
    rows: IndexArray,
    holdout: IndexArray,
    *,
    seed: int,
    num_threads: int,
) -> float:
    values, categorical = columns
    labels = study.labels[rows]
    folds = stratified_folds(labels, np.random.default_rng(seed))
    best: tuple[float, int, dict[str, Any]] | None = None
    for num_leaves, share in itertools.product(NUM_LEAVES, SMALLEST_LEAF_SHARES):
        smallest = max(2, round(share * len(rows)))
        parameters = {
            "objective": "binary",
            "metric": "auc",
            "learning_rate": LEARNING_RATE,
            "num_leaves": num_leaves,
            "min_data_in_leaf": smallest,
            "min_data_per_group": smallest,
            "deterministic": True,
            "force_row_wise": True,
            "seed": seed,
            "num_threads": num_threads,
            "verbosity": -1,
        }
        dataset = lightgbm.Dataset(
            values[rows], labels, categorical_feature=categorical, params=parameters, free_raw_data=False
        )
        found = lightgbm.cv(parameters, dataset, MAX_ROUNDS, folds=folds)
        means = np.asarray(found["valid auc-mean"])
        if best is None or means.max() > best[0]:
            best = (float(means.max()), int(means.argmax()) + 1, parameters)
    assert best is not None
    _, num_rounds, parameters = best
    dataset = lightgbm.Dataset(values[rows], labels, categorical_feature=categorical, params=parameters)
    booster = lightgbm.train(parameters, dataset, num_rounds)
    return rank_auc(np.asarray(booster.predict(values[holdout])), study.labels[holdout])


def stratified_folds(
    labels: IndexArray, generator: np.random.Generator
) -> list[tuple[IndexArray, IndexArray]]:
    """Positions (fitted, judged) of each fold; every class is dealt out evenly."""
    fold = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        fold[rows] = np.arange(len(rows)) % NUM_FOLDS
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(NUM_FOLDS)]


def rank_auc(scores: FloatArray, labels: IndexArray) -> float:
    """Area under the ROC curve by ranks, ties half."""
    positive = labels == 1
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(scores)
    return float(
        (ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)
    )


def report(
    arguments: argparse.Namespace,
    study: Study,
    bundle: EncoderBundle,
    holdout: IndexArray,
    figures: FloatArray,
) -> None:
    differences = figures[:, 0] - figures[:, 1]
    half = float(t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences)))
    mean = float(differences.mean())
    print(
        f"{describe(machine())}; pretraining {bundle.report['seconds']} s, {bundle.report['num_steps']} steps\n"
    )
    print(
        "| table | target | labels | draws | linear head AUC % | tuned LightGBM AUC % | difference [95 %] |"
    )
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {arguments.table} | {arguments.target} | {arguments.labels} | {arguments.draws} "
        f"| {figures[:, 0].mean():.2f} | {figures[:, 1].mean():.2f} "
        f"| {mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}] |"
    )
    body = {
        "table": arguments.table,
        "target": arguments.target,
        "dropped": arguments.drop,
        "labels": arguments.labels,
        "num_holdout": len(holdout),
        "auc_percent": {"linear": figures[:, 0].tolist(), "lightgbm": figures[:, 1].tolist()},
        "difference": {"mean": mean, "low": mean - half, "high": mean + half},
        "pretraining": {"seconds": bundle.report["seconds"], "steps": bundle.report["num_steps"]},
    }
    write_results(f"few_labels_{arguments.table}_{arguments.labels}", body)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA", "../shared/data")))
    parser.add_argument("--table", default="bank_marketing")
    parser.add_argument("--target", default="y")
    parser.add_argument("--drop", default="", help="columns left out for everybody, with commas")
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--pretrain-seconds", type=float, default=180.0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.json").is_file():
        raise SystemExit("no folder of real tables: set DATA=dir to one with a manifest.json")
    return arguments


if __name__ == "__main__":
    main()
