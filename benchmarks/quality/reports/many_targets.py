"""What ten targets of one table cost with one encoder, and with a model each; and from how many targets on it pays."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.reports.figures import OURS, Figure, Figures
from benchmarks.quality.reports.intervals import estimate
from benchmarks.quality.reports.markdown import Report, labels_text, table
from benchmarks.quality.reports.published import Published


def break_even(once: float, ours_per_target: float, other_per_target: float) -> float | None:
    """Number of targets from which `once` plus ours per target is less than the other's per target; None: never."""
    gain = other_per_target - ours_per_target
    return once / gain if gain > 0 else None


def many_targets(figures: Figures, published: Published) -> Report:
    lines: list[str] = []
    body: dict[str, Any] = {"tables": []}
    for labels in figures.labels:
        for place in figures.places():
            found = {system: _costs(figures, system, place, labels) for system in figures.systems}
            costs = {system: cost for system, cost in found.items() if cost is not None}
            for system, cost in costs.items():
                if system.startswith(OURS):
                    cost["break_even"] = {
                        other: break_even(cost["once"], cost["per_target"], theirs["per_target"])
                        for other, theirs in costs.items()
                        if not other.startswith(OURS)
                    }
            body["tables"].append({"table": place, "labels": labels, "systems": costs})
            lines += _lines(place, labels, costs)
    return Report(body, [*lines, *figures.notes, ""])


def _costs(figures: Figures, system: str, place: str, labels: int | None) -> dict[str, Any] | None:
    good = [
        figure
        for figure in figures.good
        if (figure.spec.system, figure.place, figure.spec.labels) == (system, place, labels)
    ]
    if not good:
        return None
    num_targets = 1 + len(good[0].spec.together)
    once = float(np.mean([figure.record.get("prepared", {}).get("seconds", 0.0) for figure in good]))
    fit = float(np.mean([figure.record["seconds"]["fit"] for figure in good]))
    predict = float(np.mean([figure.record["seconds"]["predict"] for figure in good]))
    scores = [score for figure in good if (score := figure.metric("mean_score")) is not None]
    return {
        "num_targets": num_targets,
        "once": round(once, 2),
        "fit": round(fit, 2),
        "predict": round(predict, 2),
        "total": round(once + fit + predict, 2),
        "per_target": round((fit + predict) / num_targets, 4),
        "mean_score": estimate(scores).to_json() if scores else None,
        "scores": _mean_scores(good),
        "num_trials": len(good),
    }


def _mean_scores(good: list[Figure]) -> dict[str, float]:
    names = good[0].record["scores"]
    found = {name: [figure.record["scores"].get(name) for figure in good] for name in names}
    return {
        name: round(float(np.mean([value for value in values if value is not None])), 5)
        for name, values in found.items()
        if any(value is not None for value in values)
    }


def _lines(place: str, labels: int | None, costs: dict[str, dict[str, Any]]) -> list[str]:
    if not costs:
        return []
    rows = []
    for system, cost in costs.items():
        score = cost["mean_score"]
        pays = cost.get("break_even", {})
        words = [f"{other}: {'never' if value is None else f'{value:.0f}'}" for other, value in pays.items()]
        rows.append([
            system, f"{cost['once']:.0f}", f"{cost['fit']:.1f}", f"{cost['predict']:.1f}", f"{cost['total']:.0f}",
            "—" if score is None else f"{100 * score['mean']:.1f}", ", ".join(words) or "—",
        ])  # fmt: skip
    num_targets = max(cost["num_targets"] for cost in costs.values())
    header = [
        "system", "pretraining s", f"fit {num_targets} targets s", "predict s", "together s", "mean score %",
        "cheaper from how many targets",
    ]  # fmt: skip
    return [
        f"**{place.split('.', 1)[0]}, {num_targets} targets, {labels_text(labels)} each**",
        "",
        *table(header, rows),
    ]
