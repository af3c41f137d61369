"""Whether probabilities, intervals and sets keep what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.quality.reports.figures import Figure, Figures
from benchmarks.quality.reports.intervals import estimate, over_splits
from benchmarks.quality.reports.markdown import Report, labels_text, table
from benchmarks.quality.reports.published import Published
from models.features.schema import Task

PROMISED = 0.9
KINDS = {"intervals": (Task.REGRESSION,), "sets": (Task.BINARY, Task.MULTICLASS)}
WIDTHS = {"intervals": "interval_width", "sets": "set_size"}


def calibration(figures: Figures, published: Published) -> Report:
    lines: list[str] = []
    body: dict[str, Any] = {"promised": PROMISED, "errors": [], "coverage": []}
    for labels in figures.labels:
        errors = _errors(figures, labels)
        body["errors"].append({"labels": labels, "systems": errors})
        lines += _error_lines(labels, errors)
        covered = _coverage(figures, labels)
        body["coverage"].append({"labels": labels, "systems": covered})
        lines += _coverage_lines(labels, covered)
    return Report(body, [*lines, *figures.notes, ""])


def _errors(figures: Figures, labels: int | None) -> dict[str, Any]:
    """Calibration error minus that of a perfect model of the same probabilities and rows, per system and target."""
    found: dict[str, Any] = {}
    for system in figures.systems:
        per_place: dict[str, Any] = {}
        for place in figures.places():
            seen = figures.values(system, place, labels, "ece")
            perfect = figures.values(system, place, labels, "ece_of_perfect")
            if seen:
                excess = over_splits({pair: seen[pair] - perfect[pair] for pair in seen})
                per_place[place] = {
                    "error": round(float(np.mean(list(seen.values()))), 5),
                    "of_perfect": round(float(np.mean(list(perfect.values()))), 5),
                    "excess": excess.to_json(),
                    "num_trials": len(seen),
                }
        if per_place:
            mean = estimate([entry["excess"]["mean"] for entry in per_place.values()])
            found[system] = {"targets": per_place, "mean_excess": mean.to_json()}
    return found


def _error_lines(labels: int | None, errors: dict[str, Any]) -> list[str]:
    places = list(dict.fromkeys(place for entry in errors.values() for place in entry["targets"]))
    if not places:
        return []
    rows = []
    for place in places:
        cells = [entry["targets"].get(place) for entry in errors.values()]
        rows.append([
            place,
            *("—" if cell is None else f"{cell['error']:.3f} − {cell['of_perfect']:.3f} = {cell['excess']['mean']:+.3f}" for cell in cells),
        ])  # fmt: skip
    rows.append(["mean", *(f"{entry['mean_excess']['mean']:+.3f}" for entry in errors.values())])
    return [
        f"**Calibration error minus that of a perfect model, {labels_text(labels)}**",
        "",
        *table(["target", *errors], rows),
    ]


def _coverage(figures: Figures, labels: int | None) -> dict[str, Any]:
    """Observed share of labels in their interval or set, and how wide these are."""
    found: dict[str, Any] = {}
    for system in figures.systems:
        for kind, tasks in KINDS.items():
            part = figures.restricted(tasks)
            good = [figure for figure in part.good if _is(figure, system, labels)]
            per_place: dict[str, Any] = {}
            for place in dict.fromkeys(figure.place for figure in good):
                covered = part.values(system, place, labels, "coverage")
                width = part.values(system, place, labels, WIDTHS[kind])
                per_place[place] = {
                    "coverage": over_splits(covered).to_json(),
                    "lowest": round(min(covered.values()), 4),
                    "width": round(float(np.mean(list(width.values()))), 4),
                    "num_trials": len(covered),
                }
            if per_place:
                means = [entry["coverage"]["mean"] for entry in per_place.values()]
                found.setdefault(system, {})[kind] = {
                    "targets": per_place,
                    "mean": round(float(np.mean(means)), 5),
                    "num_trials": len(good),
                }
    return found


def _coverage_lines(labels: int | None, covered: dict[str, Any]) -> list[str]:
    rows = []
    for system, kinds in covered.items():
        for kind, entry in kinds.items():
            for place, cell in entry["targets"].items():
                low, high = cell["coverage"]["low"], cell["coverage"]["high"]
                between = "" if low is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
                rows.append([
                    system, kind, place, f"{100 * cell['coverage']['mean']:.1f}{between}",
                    f"{100 * cell['lowest']:.1f}", f"{cell['width']:.3g}", str(cell["num_trials"]),
                ])  # fmt: skip
            rows.append(
                [system, kind, "mean", f"{100 * entry['mean']:.1f}", "", "", str(entry["num_trials"])]
            )
    if not rows:
        return []
    header = [
        "system", f"promised {100 * PROMISED:.0f} %", "target", "observed % [95 %]", "lowest trial", "width or classes",
        "trials",
    ]  # fmt: skip
    return [f"**Coverage, {labels_text(labels)}**", "", *table(header, rows)]


def _is(figure: Figure, system: str, labels: int | None) -> bool:
    found = (figure.spec.system, figure.spec.labels) == (system, labels)
    return found and figure.metric("coverage") is not None
