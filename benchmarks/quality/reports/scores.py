"""Scores of systems per table: means, intervals over splits, and paired differences to ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.quality.reports.figures import OURS, Figures
from benchmarks.quality.reports.intervals import Estimate, estimate, over_splits
from benchmarks.quality.reports.markdown import Report, labels_text, table
from benchmarks.quality.reports.published import Published
from models.features.schema import Task

MISSING = "—"
PERCENT = 100.0
WORDS = {Task.BINARY: "AUC %", Task.MULTICLASS: "macro-AUC %", Task.REGRESSION: "R² %"}
SECONDARY = {Task.BINARY: "log_loss", Task.MULTICLASS: "log_loss", Task.REGRESSION: "rmse"}


def few_labels(figures: Figures, published: Published) -> Report:
    """One table per number of labels, and the sets against the best published number."""
    lines, body = _beside_ours(figures)
    body["published"] = published.compared_few(figures)
    return Report(body, [*lines, *published.few_lines(figures), *_closing(figures)])


def all_labels(figures: Figures, published: Published) -> Report:
    lines, body = _beside_ours(figures)
    return Report(body, [*lines, *published.all_lines(figures), *_closing(figures)])


def _beside_ours(figures: Figures) -> tuple[list[str], dict[str, Any]]:
    """A table per number of labels, and what the best of the compared systems came to."""
    lines: list[str] = []
    body = _body(figures)
    for labels in figures.labels:
        found = _one_count(figures, labels)
        found["best"] = against_best(figures.leading, found)
        body["counts"].append(found)
        lines += [*_by_system(figures, labels, found), *_best_lines(found["best"])]
    return lines, body


def tasks(figures: Figures, published: Published) -> Report:
    """A row per target, as there are many, a column per system."""
    lines, body = [], _body(figures)
    for task in (Task.MULTICLASS, Task.REGRESSION):
        part = figures.restricted([task])
        for labels in part.labels:
            found = _one_count(part, labels)
            body["counts"].append({"task": task.value, **found})
            lines += [f"**{WORDS[task]}, {labels_text(labels)}**", "", *_by_place(part, labels, found)]
            if task is Task.MULTICLASS:
                lines += [
                    "**Log-loss, " + labels_text(labels) + "**",
                    "",
                    *_second(part, labels, SECONDARY[task]),
                ]
    return Report(body, [*lines, *_closing(figures)])


def differences(
    figures: Figures, ours: str, other: str, places: Sequence[str], labels: int | None
) -> dict[str, Any] | None:
    """Ours minus another, on the same splits and draws; `mean` over tables, its interval over splits and over tables.

    None where no table has figures of both.
    """
    by_place: dict[str, dict[tuple[int, int], float]] = {}
    for place in places:
        mine, theirs = figures.values(ours, place, labels), figures.values(other, place, labels)
        paired = {pair: PERCENT * (mine[pair] - theirs[pair]) for pair in mine.keys() & theirs.keys()}
        if paired:
            by_place[place] = paired
    if not by_place:
        return None
    common = set.intersection(*(set(paired) for paired in by_place.values()))
    means = {pair: float(np.mean([paired[pair] for paired in by_place.values()])) for pair in common}
    of_tables = estimate([over_splits(paired).mean for paired in by_place.values()])
    return {
        "tables": {place: over_splits(paired).to_json() for place, paired in by_place.items()},
        "over_tables": of_tables.to_json(),
        "over_splits": over_splits(means).to_json() if means else None,
    }


def mean_over_places(figures: Figures, system: str, labels: int | None) -> Estimate | None:
    """Mean over all tables of the report; None where one is missing, since other tables are harder or easier."""
    by_place = [figures.values(system, place, labels) for place in figures.places()]
    common = set.intersection(*(set(values) for values in by_place)) if by_place else set()
    if not common:
        return None
    return over_splits(
        {pair: PERCENT * float(np.mean([values[pair] for values in by_place])) for pair in common}
    )


def against_best(ours: str | None, found: dict[str, Any]) -> dict[str, Any] | None:
    """Ours beside the compared system that does best on the mean, and beside the best of each table, whichever that is.

    Only systems with as many splits as ours are looked at: of few labels a single draw says little. None where there is
    nothing to compare.
    """
    if ours is None or ours not in found["systems"]:
        return None
    mine = found["systems"][ours]
    behind: dict[str, dict[str, Any]] = {}
    means: dict[str, dict[str, Any]] = {}
    for name, entry in found["systems"].items():
        minus = entry.get("ours_minus")
        if name.startswith(OURS) or minus is None:
            continue
        for place, difference in minus["tables"].items():
            is_lowest = place not in behind or difference["mean"] < behind[place]["ours_minus"]
            if difference["num"] == mine["tables"][place]["num"] and is_lowest:
                behind[place] = {"system": name, "ours_minus": difference["mean"]}
        if None not in (entry["mean"], mine["mean"]) and entry["mean"]["num"] == mine["mean"]["num"]:
            means[name] = minus["over_splits"]
    single = min(means, key=lambda name: float(means[name]["mean"])) if means else None
    return {
        "single": single,
        "ours_minus_single": None if single is None else means[single],
        "tables": behind,
    }


def _best_lines(best: dict[str, Any] | None) -> list[str]:
    if best is None or not best["tables"]:
        return []
    place, worst = min(best["tables"].items(), key=lambda item: float(item[1]["ours_minus"]))
    sentences = [
        f"Beside the best compared system of each set with as many splits, ours is lowest on {_short(place)}: "
        f"{worst['ours_minus']:+.2f} ({worst['system']})."
    ]
    if best["single"] is not None:
        sentences.insert(
            0,
            f"The best single compared system on the mean is {best['single']}: ours − it "
            f"{_text(best['ours_minus_single'], signed=True)}.",
        )
    return [" ".join(sentences), ""]


def _body(figures: Figures) -> dict[str, Any]:
    return {"ours": figures.leading, "tables": list(figures.places()), "counts": []}


def _one_count(figures: Figures, labels: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {"labels": labels, "systems": {}}
    for system in figures.systems:
        cells = {
            place: over_splits({pair: PERCENT * value for pair, value in values.items()}).to_json()
            for place in figures.places()
            if (values := figures.values(system, place, labels))
        }
        if not cells:
            continue
        mean = mean_over_places(figures, system, labels)
        entry: dict[str, Any] = {
            "tables": cells,
            "mean": None if mean is None else mean.to_json(),
            "fit_seconds": _seconds(figures, system, labels),
        }
        if figures.leading is not None and system != figures.leading:
            entry["ours_minus"] = differences(figures, figures.leading, system, figures.places(), labels)
        found["systems"][system] = entry
    return found


def _by_system(figures: Figures, labels: int | None, found: dict[str, Any]) -> list[str]:
    places = figures.places()
    header = [
        f"{labels_text(labels)}, AUC %", *(_short(place) for place in places), "mean [95 %]", "ours − it [95 %]",
        "over tables [95 %]", "fit s",
    ]  # fmt: skip
    return table(header, list(_system_rows(places, found)))


def _system_rows(places: Sequence[str], found: dict[str, Any]) -> Iterator[list[str]]:
    for system, entry in found["systems"].items():
        cells = [
            f"{entry['tables'][place]['mean']:.1f}" if place in entry["tables"] else MISSING
            for place in places
        ]
        minus = entry.get("ours_minus") or {}
        note = (
            f" ({len(minus['tables'])} of {len(places)})"
            if minus and len(minus["tables"]) < len(places)
            else ""
        )
        yield [
            system, *cells, _text(entry["mean"]), _text(minus.get("over_splits"), signed=True),
            _text(minus.get("over_tables"), signed=True) + note, f"{entry['fit_seconds']:.1f}",
        ]  # fmt: skip


def _by_place(figures: Figures, labels: int | None, found: dict[str, Any]) -> list[str]:
    systems = found["systems"]
    rows = []
    for place in figures.places():
        cells = [systems[name]["tables"].get(place) for name in systems]
        rows.append([place, *(_text(cell) for cell in cells)])
    rows.append(["mean", *(_text(entry["mean"]) for entry in systems.values())])
    minus = [(entry.get("ours_minus") or {}).get("over_tables") for entry in systems.values()]
    rows.append(["ours − it, over targets", *(_text(value, signed=True) for value in minus)])
    return table(["target", *systems], rows)


def _second(figures: Figures, labels: int | None, metric: str) -> list[str]:
    rows = []
    for place in figures.places():
        found = [figures.values(system, place, labels, metric) for system in figures.systems]
        rows.append([place, *(over_splits(values).text(3) if values else MISSING for values in found)])
    return table(["target", *figures.systems], rows)


def _closing(figures: Figures) -> list[str]:
    return [*figures.notes, ""] if figures.notes else []


def _seconds(figures: Figures, system: str, labels: int | None) -> float:
    """Median seconds of a fit."""
    found = [
        figure.record["seconds"]["fit"]
        for figure in figures.good
        if (figure.spec.system, figure.spec.labels) == (system, labels)
    ]
    return round(float(np.median(found)), 2)


def _short(place: str) -> str:
    return place.split(".", 1)[0]


def _text(entry: dict[str, Any] | None, *, signed: bool = False) -> str:
    return MISSING if entry is None else Estimate(**entry).text(1 if not signed else 2, signed=signed)
