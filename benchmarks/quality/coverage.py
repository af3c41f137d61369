"""Whether a linear head's sets and intervals hold what they promise, over many draws of few labels.

    python -m benchmarks.quality.coverage [--data DIR] [--labels 500] [--draws 50] [--targets table.target,…]

Heads read raw columns alone (no encoder is run), so that many draws take minutes: what is measured is the promise, not the
encoder. Each draw takes labels at random and judges the head on `TEST_ROWS` other rows of the same table.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.data_folder import parsed_with_data, parser_with_data
from benchmarks.machine import describe, machine, write_results
from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.promises import IntervalFigures, SetFigures, interval_figures, set_figures
from benchmarks.quality.tables import Study, load_study
from benchmarks.quality.trial import IndexArray
from models.encoders.raw_features import RawFeatures
from models.features.codec import Codec
from models.features.column_values import ColumnValues
from models.features.schema import Task
from models.heads.folds import divide
from models.heads.linear import LinearHeadConfig
from models.heads.prediction import RowFeaturesPass
from models.heads.problem import HeadProblem
from models.heads.scaling import FeatureScaling

TARGETS = (
    "california_housing.median_house_value",
    "kc_house_sales.price",
    "bank_marketing.balance",
    "hotel_bookings.adr",
    "heart_2020_brfss.HeartDisease",
    "hotel_bookings.is_canceled",
    "hotel_bookings.market_segment",
)
PROMISED = 0.9
MAX_ROWS = 30_000
TEST_ROWS = 4_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Shape: `features` float32 [n, F] raw features, `kinds` [F] what each is; `labels` [n]."""

    study: Study
    features: torch.Tensor
    kinds: torch.Tensor
    columns: ColumnValues
    labels: np.ndarray

    @classmethod
    def of(cls, study: Study) -> Rows:
        """At most `MAX_ROWS` labelled rows, drawn at random."""
        labelled = np.random.default_rng(0).permutation(np.flatnonzero(~np.isnan(study.labels)))[:MAX_ROWS]
        frame = study.frame[labelled]
        codec = Codec.fit(frame, study.schema)
        codes = codec.transform(frame)
        raw = RawFeatures(codec, tuple(range(len(codec.columns))), has_values=True)
        kinds = torch.tensor(raw.kinds, dtype=torch.int8)
        return cls(
            study, raw.compute(codes), kinds, ColumnValues.of(codes, codec, ()), study.labels[labelled]
        )


def main() -> None:
    arguments = _arguments()
    manifest = read_manifest(arguments.data)
    print(f"{describe(machine())}\n")
    print(
        "| target | labels | draws | found | lowest and highest draw | width / standard deviation, or size | worst |"
    )
    print("|---|---|---|---|---|---|---|")
    found = {}
    for name in arguments.targets.split(","):
        table, _, target = name.partition(".")
        rows = Rows.of(load_study(arguments.data, manifest[table], target))
        judged = [_judge(rows, arguments.labels, draw) for draw in range(arguments.draws)]
        figures = [figure for figure in judged if figure is not None]
        if not figures:
            print(f"| {table} {target} | {arguments.labels} | 0 of {arguments.draws} | — | — | — | — |")
            continue
        shares = np.array([figure.found for figure in figures])
        sizes = [f.relative_width if isinstance(f, IntervalFigures) else f.mean_size for f in figures]
        worst = [f.worst_fifth if isinstance(f, IntervalFigures) else f.worst_class for f in figures]
        size = f"{np.mean(sizes):.2f}" + (f" of {len(rows.study.classes)}" if rows.study.classes else "")
        print(
            f"| {table} {target} | {arguments.labels} | {len(figures)} of {arguments.draws} | {shares.mean():.1%} "
            f"| {shares.min():.1%} to {shares.max():.1%} | {size} | {np.mean(worst):.1%} |",
            flush=True,
        )
        found[name] = [figure.to_json() for figure in figures]
    write_results(f"coverage_{arguments.labels}", {"promised": PROMISED, "targets": found})


def _judge(rows: Rows, num_labels: int, draw: int) -> IntervalFigures | SetFigures | None:
    """Of one draw of labels; None where a class has too few of them for folds, and so for a promise."""
    order = np.random.default_rng([draw, num_labels]).permutation(len(rows.labels))
    fitted, judged = np.sort(order[:num_labels]), order[num_labels:][:TEST_ROWS]
    problem = _problem(rows, fitted, draw)
    head = LinearHeadConfig().fit(problem).head
    (product,) = head.needs
    assert isinstance(product, RowFeaturesPass)
    logits = rows.features[torch.from_numpy(judged)] @ product.weight.T + product.bias
    prediction = head.finish((logits,), PROMISED)
    labels = rows.labels[judged]
    if rows.study.task is Task.REGRESSION:
        interval = prediction.interval
        return None if interval is None else interval_figures(interval, prediction.outputs, labels, PROMISED)
    in_set = prediction.in_set
    return None if in_set is None else set_figures(in_set, labels.astype(np.int64), PROMISED)


def _problem(rows: Rows, fitted: IndexArray, draw: int) -> HeadProblem:
    index = torch.from_numpy(fitted)
    labels, study = rows.labels[fitted], rows.study
    return HeadProblem(
        task=study.task,
        classes=study.classes or None,
        view=(),
        encoder_fingerprint="",
        features=rows.features[index],
        columns=ColumnValues(rows.columns.values[index], rows.columns.num_categorical),
        scaling=FeatureScaling.fit(rows.features[:2_000], rows.kinds),
        labels=labels,
        weights=np.ones(len(labels)),
        folds=divide(labels, study.task, generator=np.random.default_rng([draw, 3])),
    )


def _arguments() -> argparse.Namespace:
    parser = parser_with_data(__doc__)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--targets", default=",".join(TARGETS))
    return parsed_with_data(parser)


if __name__ == "__main__":
    main()
