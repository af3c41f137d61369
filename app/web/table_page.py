"""The report of one table as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from app.services.table_reports import TableReport, TargetChampion
from app.web import charts
from app.web.rendering import render
from app.web.words import label_text, printable
from models.evaluation.metrics import PRIMARY

MAX_COLUMNS = 300
MAX_CHARTED_COLUMNS = 30
MAX_FINDINGS = 100
MAX_PROPOSALS = 100
MAX_VALUES = 5
_BOX = ("0", "0.25", "0.5", "0.75", "1")


def table_page(report: TableReport) -> str:
    """HTML of the whole report; lists of wide tables are cut short, and say so."""
    columns = list(report.profile.columns.items())
    learned = _learned(report)
    drift = report.current.drift_report or {}
    return render(
        "table_report.html.j2",
        report=report,
        table=report.table,
        profile=report.profile,
        columns=[(name, entry, _values(name, entry)) for name, entry in columns[:MAX_COLUMNS]],
        num_more_columns=max(0, len(columns) - MAX_COLUMNS),
        warned=[(name, entry["warnings"]) for name, entry in columns if entry.get("warnings")][:MAX_FINDINGS],
        findings=(drift.get("findings") or [])[:MAX_FINDINGS],
        num_more_findings=max(0, len(drift.get("findings") or []) - MAX_FINDINGS),
        proposals=report.proposals[:MAX_PROPOSALS],
        num_more_proposals=max(0, len(report.proposals) - MAX_PROPOSALS),
        max_values=MAX_VALUES,
        loss_curve=_loss_curve(report),
        learned=learned[:MAX_COLUMNS],
        num_more_learned=max(0, len(learned) - MAX_COLUMNS),
        learned_chart=_learned_chart(learned),
        targets=[(found, _headline(found)) for found in report.targets],
    )


def _values(name: str, entry: Mapping[str, Any]) -> Markup:
    """A small picture of what a column holds; nothing where the profile lists nothing."""
    quantiles = entry.get("quantiles")
    if isinstance(quantiles, Mapping) and all(quantiles.get(place) is not None for place in _BOX):
        return charts.spread(f"Values of {label_text(name)}", [float(quantiles[place]) for place in _BOX])
    top = entry.get("top_values") or []
    total = entry.get("count") or 0
    if not top or total <= 0:
        return Markup("")
    return charts.shares(
        f"Most frequent values of {label_text(name)}", [value["count"] / total for value in top]
    )


def _loss_curve(report: TableReport) -> Markup:
    points = [] if report.encoder is None else (report.encoder.report or {}).get("curve") or []
    return charts.curve(
        "Held-out loss while pretraining",
        "Mean loss in nats on rows that are set aside, by step.",
        [(point["step"], point["held_out_loss"]) for point in points],
        x_label="Step",
        y_label="Loss (nats)",
    )


def _learned(report: TableReport) -> list[tuple[str, Mapping[str, Any]]]:
    """Columns by how much the others say of them, best first; those without a figure last."""
    columns = {} if report.encoder is None else (report.encoder.report or {}).get("columns") or {}
    return sorted(columns.items(), key=lambda item: -_explained(item[1], -2.0))


def _explained(measures: Mapping[str, Any], otherwise: float) -> float:
    found = measures.get("explained")
    return otherwise if found is None else float(found)


def _learned_chart(learned: list[tuple[str, Mapping[str, Any]]]) -> Markup:
    return charts.bars(
        "How much the other columns say of each",
        "Share of the column's own uncertainty that the encoder takes away, on rows that are set aside.",
        [
            (printable(name), float(measures["explained"]), None)
            for name, measures in learned
            if measures.get("explained") is not None
        ][:MAX_CHARTED_COLUMNS],
    )


def _headline(found: TargetChampion) -> tuple[str, Mapping[str, Any]] | None:
    """The primary metric of the champion, where it has one."""
    if found.champion is None or found.target.task is None:
        return None
    metric = PRIMARY[found.target.task]
    entry = (found.champion.metrics or {}).get(metric)
    return (metric, entry) if isinstance(entry, Mapping) else None
