"""The report of one head as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from app.services.head_reports import ClassCalibration, HeadReport, JudgedPart
from app.web import charts
from app.web.rendering import render
from app.web.words import baseline_word, label_text, metric_word, part_word
from models.evaluation.metrics import NO_SKILL, PRIMARY

MAX_IMPORTANT_COLUMNS = 40


def head_page(report: HeadReport) -> str:
    """HTML of the whole report."""
    head = report.head
    stored = head.report or {}
    importance = stored.get("importance")
    return render(
        "head_report.html.j2",
        report=report,
        head=head,
        stored=stored,
        metric_tables=list(_metric_tables(head.metrics or {}, head.baselines or {})),
        headline=_headline(report),
        parts=[(part, list(_charts(part))) for part in report.parts],
        decisions=list(_decisions(report.decision)),
        importance=importance,
        importance_chart=_importance(importance),
        max_important=MAX_IMPORTANT_COLUMNS,
    )


def _metric_tables(
    metrics: Mapping[str, Any], baselines: Mapping[str, Any]
) -> Iterator[tuple[str, list[str], list[tuple[str, list[Any]]]]]:
    """Per judged part: its name, whose the columns are, and a row per metric with an entry for each of them."""
    rivals = {name: found for name, found in baselines.items() if isinstance(found, Mapping)}
    for part in (None, "holdout"):
        mine = metrics if part is None else metrics.get(part)
        if not isinstance(mine, Mapping):
            continue
        theirs: dict[str, Mapping[str, Any]] = {
            name: found if part is None else (found.get(part) or {}) for name, found in rivals.items()
        }
        rows: list[tuple[str, list[Any]]] = [
            (metric, [entry, *(found.get(metric) for found in theirs.values())])
            for metric, entry in mine.items()
            if isinstance(entry, Mapping) and "value" in entry
        ]
        if rows:
            yield str(rows[0][1][0].get("on") or "judged"), ["This head", *map(baseline_word, theirs)], rows


def _headline(report: HeadReport) -> Markup:
    """The primary metric of head and baselines, on every part, as intervals."""
    if report.target.task is None:
        return Markup("")
    primary = PRIMARY[report.target.task]
    rows = []
    for on, owners, table in _metric_tables(report.head.metrics or {}, report.head.baselines or {}):
        for metric, entries in table:
            if metric != primary:
                continue
            for place, (owner, entry) in enumerate(zip(owners, entries, strict=True)):
                if entry is not None:
                    label = f"{owner.partition(',')[0]}, {part_word(on).lower()}"
                    rows.append(
                        charts.IntervalRow(
                            label, entry["value"], entry.get("low"), entry.get("high"), place == 0
                        )
                    )
    return charts.intervals(
        f"{metric_word(primary)} of this head and its baselines",
        "Dots are values, lines 95 % intervals, the dashed line is a constant predictor.",
        rows,
        NO_SKILL[report.target.task],
    )


def _charts(part: JudgedPart) -> Iterator[tuple[str, Markup]]:
    for calibration in part.calibrations:
        if calibration.bins:
            yield _calibration(part, calibration)
    if part.numbers is None:
        return
    points = part.numbers.points
    sample = f"{len(points):,} of {part.num_rows:,} rows, evenly over the range"
    yield (
        "Predicted and observed",
        charts.scatter(
            f"Predicted and observed values, {part_word(part.on).lower()}",
            f"One dot per row ({sample}); on the dashed line they are equal.",
            points,
            x_label="Predicted",
            y_label="Observed",
            guide="diagonal",
        ),
    )
    yield (
        "Residuals",
        charts.scatter(
            f"Residuals against predictions, {part_word(part.on).lower()}",
            f"Observed minus predicted, one dot per row ({sample}); on the dashed line they are zero.",
            [(predicted, observed - predicted) for predicted, observed in points],
            x_label="Predicted",
            y_label="Observed minus predicted",
            guide="zero",
        ),
    )


def _calibration(part: JudgedPart, calibration: ClassCalibration) -> tuple[str, Markup]:
    whose = (
        "the most probable class" if calibration.is_top_label else f"class {label_text(calibration.label)}"
    )
    caption = f"Calibration of {whose}"
    return caption, charts.calibration(
        f"{caption}, {part_word(part.on).lower()}",
        "Observed share against predicted probability in bins of equally many rows, with 95 % intervals; on the dashed "
        "line they are equal.",
        [(found.predicted, found.observed, found.low, found.high) for found in calibration.bins],
    )


def _decisions(
    decision: Mapping[str, Any] | None,
) -> Iterator[tuple[str, list[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]], Mapping[str, Any]]]:
    """Per judged part: rows of metric, its entry under the rule and for the most probable class; and the counts."""
    for part, metrics in ((decision or {}).get("metrics") or {}).items():
        plain = ((decision or {}).get("most_probable") or {}).get(part) or {}
        rows = [
            (metric, entry, plain.get(metric))
            for metric, entry in metrics.items()
            if isinstance(entry, Mapping) and "value" in entry
        ]
        yield part, rows, metrics.get("counts") or {}


def _importance(importance: Mapping[str, Any] | None) -> Markup:
    columns = (importance or {}).get("columns") or []
    return charts.bars(
        "Columns that matter",
        "What is lost of the metric when the cells of a column change places among the rows; whiskers are one standard "
        "deviation over repeats.",
        [(found["column"], found["drop"], found["noise"]) for found in columns[:MAX_IMPORTANT_COLUMNS]],
    )
