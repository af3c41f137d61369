"""Values as a reader sees them: numbers, shares, moments, names; safe to put into HTML and SVG."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

MAX_NAME_CHARS = 80
MAX_TEXT_CHARS = 2_000
NOTHING = "–"
# What XML and UTF-8 cannot carry: control characters, lone surrogates, the two non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_METRICS = {
    "auc": "AUC",
    "macro_auc": "Macro AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "accuracy": "Accuracy",
    "calibration_error": "Calibration error",
    "r2": "R²",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "precision": "Precision",
    "recall": "Recall",
    "share_positive": "Share decided positive",
    "cost": "Mean cost",
}
_PARTS = {"out_of_fold": "Out of fold", "holdout": "Hold-out", "fitted": "Fitted rows"}
_BASELINES = {
    "lightgbm": "LightGBM",
    "logistic": "Logistic regression, no encoder",
    "ridge": "Ridge regression, no encoder",
}


def printable(text: str) -> str:
    return _UNPRINTABLE.sub("�", text)


def short(text: str, most: int = MAX_NAME_CHARS) -> str:
    """Printable, and no longer than `most` characters."""
    text = printable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def label_text(value: object) -> str:
    """A class or a cell as JSON would tell it apart: the text `true` is not the boolean."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return short(value) if isinstance(value, str) else short(f"{value}")


def name(value: object) -> Markup:
    """A name from the data, kept apart from its surroundings: it may be written from right to left."""
    return Markup("<bdi>{}</bdi>").format(label_text(value))


def names(values: Any, most: int = 20) -> Markup:
    """`a, b and 7 more`."""
    given = list(values)
    shown = Markup(", ").join(name(value) for value in given[:most])
    return shown + (f" and {len(given) - most:,} more" if len(given) > most else "")


def number_text(value: float | None, *, signed: bool = False) -> str:
    """Four significant digits; never `-0`."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):+,}" if signed else f"{int(value):,}"
    elif 1e3 <= abs(value) < 1e15:
        text = f"{value:+,.1f}" if signed else f"{value:,.1f}"
    else:
        text = f"{value:+.4g}" if signed else f"{value:.4g}"
    return "0" if text in ("+0", "-0") else text


def number(value: float | None, *, signed: bool = False) -> Markup:
    """The rounded number with the exact one behind it, for programs."""
    text = number_text(value, signed=signed)
    if value is None or not math.isfinite(value):
        return Markup(text)
    return Markup('<data value="{}">{}</data>').format(repr(value), text)


def percent(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else f"{value:.{digits}%}"


def num_bytes(value: int | None) -> str:
    if value is None:
        return NOTHING
    size = float(value)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def moment(value: datetime | None) -> str:
    return NOTHING if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def metric_word(metric: str) -> str:
    return _METRICS.get(metric, metric.replace("_", " "))


def part_word(part: object) -> str:
    return _PARTS.get(str(part), str(part).replace("_", " "))


def baseline_word(baseline: str) -> str:
    return _BASELINES.get(baseline, baseline)


def count(number_of: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"
