"""What pretraining learned of each column of the table, from what it learned of the codec's columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from models.features.codec import Codec

Measures = dict[str, Any]


def by_source(codec: Codec, columns: Mapping[str, Measures]) -> dict[str, Measures]:
    """Measures by codec column as measures by column of the table; JSON-serialisable.

    A column that became several has their measures under `parts`; beside them sums of their losses, as if they were
    independent, and the mean of what their replacements were detected by.
    """
    kinds = {derivation.source: derivation.kind for derivation in codec.derivations}
    found: dict[str, Measures] = {}
    for column in codec.columns:
        measures = columns.get(column.name, {})
        if column.origin is None:
            found[column.name] = measures
        else:
            entry = found.setdefault(column.source, {"kind": kinds[column.source], "parts": {}})
            entry["parts"][column.origin.part] = measures
    return {
        source: {**_summary(found[source]["parts"].values()), **found[source]}
        if source in kinds
        else found[source]
        for source in codec.sources
    }


def _summary(parts: Iterable[Measures]) -> Measures:
    parts = list(parts)
    summary: Measures = {}
    if all("num_rows" in part for part in parts):
        summary["num_rows"] = parts[0]["num_rows"]
    if all("log_loss" in part for part in parts):
        loss, marginal = _sum(parts, "log_loss"), _sum(parts, "marginal_log_loss")
        explained = (
            None if loss is None or marginal is None or marginal <= 1e-3 else round(1 - loss / marginal, 4)
        )
        summary |= {"log_loss": loss, "marginal_log_loss": marginal, "explained": explained}
    if all("detection_auc" in part for part in parts):
        known = [part["detection_auc"] for part in parts if part["detection_auc"] is not None]
        summary["detection_auc"] = round(math.fsum(known) / len(known), 4) if known else None
    return summary


def _sum(parts: list[Measures], name: str) -> float | None:
    """None where a part has none."""
    values = [part[name] for part in parts]
    return None if None in values else round(math.fsum(values), 4)
