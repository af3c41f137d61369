"""Whether a new head may serve: the rule that guards aliases (DESIGN, section 6).

An alias moves only to a head that beats the constant predictor and is not worse than the champion. A target's first
head that passes becomes the champion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.evaluation.metrics import PRIMARY
from models.features.schema import Task
from storage.orm import Alias, Head, Target
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

CHAMPION = "champion"

TOLERANCE = 0.02
"""A head that does not look as good as the champion on the same labels passes only if it is not worse by more than
this, with 95 % confidence: few labels would otherwise let anything pass, because they cannot show it to be worse."""


@dataclass(frozen=True)
class Verdict:
    """`passes`: the head may take aliases; `reason` says why or why not, in words for the job's result."""

    passes: bool
    reason: str


def move_aliases(
    uow: UnitOfWork, target: Target, head: Head, wanted: str | None, verdict: Verdict, actor: str
) -> list[str]:
    """Point `wanted`, and `champion` where there is none, at `head` if it passes; returns the aliases that moved."""
    if not verdict.passes:
        return []
    has_champion = uow.aliases.get(target.id, CHAMPION) is not None
    names = dict.fromkeys(([] if has_champion else [CHAMPION]) + ([] if wanted is None else [wanted]))
    for name in names:
        uow.aliases.move(target.id, name, head, expected_revision=None, actor=actor)
    return list(names)


def judge(
    target: Target,
    head_metrics: JsonObject,
    beats_constant: bool,
    champion: Head | None,
    comparison: JsonObject | None,
) -> Verdict:
    """Judge a head against the constant predictor and the champion of now.

    `comparison` is the paired comparison that was made while fitting; it counts only if it was made against this
    champion. Otherwise the published intervals are compared, which is blunter.
    """
    if not beats_constant:
        return Verdict(False, "The head is not shown to be better than a constant prediction.")
    if champion is None:
        return Verdict(True, "The head beats a constant prediction, and the target had no champion.")
    if comparison is None or comparison["champion"] != champion.id or comparison["difference"] is None:
        comparison = unpaired(target, head_metrics, champion)
    if comparison is None:
        return Verdict(False, f"The head cannot be compared with the champion, version {champion.version}.")
    words = f"{comparison['metric']} minus that of the champion, version {champion.version}: " + (
        f"{comparison['difference']:+.4f}, from {comparison['low']:+.4f} to {comparison['high']:+.4f}"
    )
    if comparison["high"] < 0:
        return Verdict(False, f"The head is worse than the champion ({words}).")
    looks_as_good = comparison["is_paired"] and comparison["difference"] >= 0
    if not looks_as_good and comparison["low"] < -TOLERANCE:
        return Verdict(False, f"The head is not shown to be as good as the champion ({words}).")
    return Verdict(True, f"The head is not worse than the champion ({words}).")


def unpaired(target: Target, metrics: JsonObject, champion: Head) -> JsonObject | None:
    """Difference of the primary metric from two published intervals, as if they were independent."""
    name = PRIMARY[Task(str(target.task))]
    new: JsonObject = metrics.get(name) or {}
    old: JsonObject = (champion.metrics or {}).get(name) or {}
    if not _has_interval(new) or not _has_interval(old):
        return None
    difference = new["value"] - old["value"]
    spread = math.hypot(new["high"] - new["low"], old["high"] - old["low"]) / 2
    return {
        "metric": name,
        "difference": difference,
        "low": difference - spread,
        "high": difference + spread,
        "is_paired": False,
    }


def champion_of(uow: UnitOfWork, target_id: str) -> Head | None:
    alias: Alias | None = uow.aliases.get(target_id, CHAMPION)
    return None if alias is None else uow.heads.get(alias.head_id)


def _has_interval(metric: JsonObject) -> bool:
    return all(metric.get(end) is not None for end in ("value", "low", "high"))
