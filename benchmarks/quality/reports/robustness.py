"""How scores fall as cells of the test rows go missing or hold something else."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.damage import SHARES, WAYS
from benchmarks.quality.measures import PRIMARY
from benchmarks.quality.reports.figures import Figures
from benchmarks.quality.reports.intervals import over_splits
from benchmarks.quality.reports.markdown import Report, labels_text, table
from benchmarks.quality.reports.published import Published
from models.features.schema import Task

WORDS = {"missing": "cells gone missing", "replaced": "cells replaced at random"}


def robustness(figures: Figures, published: Published) -> Report:
    """One table per way of damage: mean over tables; `kept` is the share of what lies above chance that is left."""
    lines: list[str] = []
    body: dict[str, Any] = {"tables": list(figures.places()), "curves": []}
    for labels in figures.labels:
        for way in WAYS:
            found = {system: _curve(figures, system, labels, way) for system in figures.systems}
            curves = {system: curve for system, curve in found.items() if curve is not None}
            if not curves:
                continue
            body["curves"].append({"labels": labels, "way": way, "systems": curves})
            lines += [f"**{WORDS[way]}, {labels_text(labels)}, mean AUC %**", "", *_lines(curves)]
    return Report(body, [*lines, *figures.notes, ""])


def _curve(figures: Figures, system: str, labels: int | None, way: str) -> dict[str, Any] | None:
    """Means over the tables of the report by damage in percent; None where the system lacks one of them."""
    names = {0: "damaged_0"} | {round(100 * share): f"{way}_{round(100 * share)}" for share in SHARES}
    found: dict[str, Any] = {}
    for percent, name in names.items():
        metric = f"{PRIMARY[Task.BINARY]}_{name}"
        by_place = [figures.values(system, place, labels, metric) for place in figures.places()]
        common = set.intersection(*(set(values) for values in by_place)) if by_place else set()
        if not common:
            return None
        means = {pair: 100 * float(np.mean([values[pair] for values in by_place])) for pair in common}
        found[str(percent)] = over_splits(means).to_json()
    return found


def _lines(curves: dict[str, dict[str, Any]]) -> list[str]:
    percents = list(next(iter(curves.values())))
    rows = []
    for system, curve in curves.items():
        kept = (curve[percents[-1]]["mean"] - 50) / (curve[percents[0]]["mean"] - 50)
        rows.append(
            [system, *(f"{curve[percent]['mean']:.1f}" for percent in percents), f"{100 * kept:.0f} %"]
        )
    return table(["system", *(f"{percent} %" for percent in percents), "kept above chance"], rows)
