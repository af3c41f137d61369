"""The decision rule of a target, bound to one of its heads."""

from __future__ import annotations

from functools import lru_cache

import orjson
from pydantic import TypeAdapter

from app.serving.catalog_index import ResolvedHead
from models.heads import FittedHead
from models.heads.decision import MOST_PROBABLE, Decision, DecisionRule
from models.heads.scores import ScoreQuantiles
from storage.orm.base import JsonObject

_RULE: TypeAdapter[DecisionRule] = TypeAdapter(DecisionRule)
_MAX_RULES = 256


def rule_of(decision: JsonObject | None) -> DecisionRule | None:
    """A target's stored rule; None for the most probable class."""
    return None if decision is None else _RULE.validate_json(orjson.dumps(decision))


def decision_of(resolved: ResolvedHead, head: FittedHead) -> Decision:
    """How this head decides now.

    Raises: InputError `decision_does_not_fit`, `no_score_quantiles`.
    """
    if resolved.target.decision is None or head.classes is None:
        return MOST_PROBABLE
    scores = resolved.head.score_quantiles
    rule = _parsed(orjson.dumps(resolved.target.decision))
    return rule.bind(head.classes, None if scores is None else ScoreQuantiles.from_json(scores))


@lru_cache(maxsize=_MAX_RULES)
def _parsed(text: bytes) -> DecisionRule:
    """A cost matrix of hundreds of classes takes longer to check than to apply."""
    return _RULE.validate_json(text)
