"""Decision rules: what they decide, that a row's decision is its own, and which heads they do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from models.errors import BundleError, InputError
from models.heads.decision import MOST_PROBABLE, CapacityRule, CostRule, DecisionRule, ThresholdRule
from models.heads.scores import ScoreQuantiles

RULE: TypeAdapter[DecisionRule] = TypeAdapter(DecisionRule)


def probabilities(num_rows: int, num_classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(num_classes), num_rows)


@pytest.mark.parametrize(
    ("rule", "num_classes"),
    [
        ({"rule": "threshold", "threshold": 0.31}, 2),
        ({"rule": "costs", "costs": [[0, 1], [5, 0]]}, 2),
        ({"rule": "costs", "costs": np.random.default_rng(1).random((7, 7)).tolist()}, 7),
        ({"rule": "capacity", "share": 0.05}, 2),
        ({"rule": "capacity", "count": 10}, 2),
    ],
)
def test__decide__row_alone__as_in_any_company(rule: dict[str, object], num_classes: int) -> None:
    found = probabilities(257, num_classes)
    scores = ScoreQuantiles.of(probabilities(1_000, 2, seed=2)[:, 1], num_rows=1_000)
    decision = RULE.validate_python(rule).bind(list(range(num_classes)), scores)
    together = decision.decide(found)
    assert together.dtype == np.int64
    assert [int(decision.decide(found[row : row + 1])[0]) for row in range(len(found))] == together.tolist()
    order = np.random.default_rng(3).permutation(len(found))
    assert (decision.decide(found[order]) == together[order]).all()
    assert decision.decide(found[:0]).shape == (0,)


def test__costs__equal_ones__decide_for_the_most_probable() -> None:
    found = probabilities(500, 5)
    costs = (1.0 - np.eye(5)).tolist()
    decided = RULE.validate_python({"rule": "costs", "costs": costs}).bind(list("abcde"), None).decide(found)
    assert (decided == MOST_PROBABLE.decide(found)).all()
    free = RULE.validate_python({"rule": "costs", "costs": np.zeros((5, 5)).tolist()})
    assert (free.bind(list("abcde"), None).decide(found) == MOST_PROBABLE.decide(found)).all()


@given(st.floats(0.1, 20.0), st.floats(0.1, 20.0))
def test__costs__of_two_classes__are_a_threshold(missed: float, false_alarm: float) -> None:
    found = probabilities(200, 2)
    rule = CostRule(rule="costs", costs=((0.0, false_alarm), (missed, 0.0)))
    bound = false_alarm / (false_alarm + missed)
    clear = np.abs(found[:, 1] - bound) > 1e-9
    decided = rule.bind([0, 1], None).decide(found)
    assert (decided[clear] == (found[clear, 1] > bound)).all()


def test__costs__named_classes__follow_them_into_heads_with_fewer() -> None:
    rule = CostRule(rule="costs", costs=((0, 1, 9), (2, 0, 3), (4, 5, 0)), classes=("a", "b", "c"))
    bound = rule.bind(["a", "c"], None)
    assert bound.costs is not None
    assert bound.costs.tolist() == [[0, 9], [4, 0]]
    with pytest.raises(InputError) as refused:
        rule.bind(["a", "b", "c", "d"], None)
    assert refused.value.code == "decision_does_not_fit"
    typed = CostRule(rule="costs", costs=((0, 1), (2, 0)), classes=(True, 1))
    assert typed.bind([1, True], None).costs.tolist() == [[0, 2], [1, 0]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "rule", [ThresholdRule(rule="threshold", threshold=0.5), CapacityRule(rule="capacity", share=0.1)]
)
def test__rule__of_two_classes__refuses_three(rule: DecisionRule) -> None:
    with pytest.raises(InputError) as refused:
        rule.bind([1, 2, 3], None)
    assert refused.value.code == "decision_does_not_fit"


def test__capacity__head_without_scores__says_so() -> None:
    with pytest.raises(InputError) as refused:
        CapacityRule(rule="capacity", share=0.1).bind([0, 1], None)
    assert refused.value.code == "no_score_quantiles"


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.5001, 0.9, 1.0]) | st.floats(0, 1), min_size=1, max_size=300),
    st.floats(1e-6, 1.0),
)
def test__capacity__any_scores__is_never_exceeded(sample: list[float], share: float) -> None:
    scores = np.array(sample)
    found = ScoreQuantiles.of(scores, num_rows=len(scores))
    table = np.column_stack([1.0 - scores, scores])
    decided = CapacityRule(rule="capacity", share=share).bind(["no", "yes"], found).decide(table)
    assert decided.mean() <= share + 1e-9
    if share == 1.0:
        assert decided.all()


@pytest.mark.parametrize("count", [1, 7, 50, 999])
def test__capacity__different_scores__is_used_up(count: int) -> None:
    scores = np.random.default_rng(0).random(5_000)
    found = ScoreQuantiles.of(scores, num_rows=5_000)
    decided = (
        CapacityRule(rule="capacity", count=count)
        .bind([0, 1], found)
        .decide(np.column_stack([1 - scores, scores]))
    )
    assert count * 0.85 - 5 <= decided.sum() <= count


def test__quantiles__as_json__come_back() -> None:
    found = ScoreQuantiles.of(np.random.default_rng(0).random(3_000), num_rows=9)
    assert ScoreQuantiles.from_json(found.to_json()) == found
    assert len(found.shares) == len(set(found.shares))
    for broken in (
        {},
        {**found.to_json(), "scores": [1.0]},
        {**found.to_json(), "scores": list(range(len(found.scores)))},
    ):
        with pytest.raises(BundleError):
            ScoreQuantiles.from_json(broken)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"rule": "coin"},
        {"rule": "threshold"},
        {"rule": "threshold", "threshold": 1.1},
        {"rule": "threshold", "threshold": float("nan")},
        {"rule": "threshold", "threshold": "0.5"},
        {"rule": "threshold", "threshold": 0.5, "share": 0.1},
        {"rule": "costs", "costs": []},
        {"rule": "costs", "costs": [[1]]},
        {"rule": "costs", "costs": [[0, 1], [1]]},
        {"rule": "costs", "costs": [[0, 1], [1, float("inf")]]},
        {"rule": "costs", "costs": [[0, 1], "ab"]},
        {"rule": "costs", "costs": [[0, 1], [1, True]]},
        {"rule": "capacity"},
        {"rule": "capacity", "share": 0.0},
        {"rule": "capacity", "share": 0.5, "count": 3},
        {"rule": "capacity", "count": 0},
        {"rule": "capacity", "count": 1.5},
    ],
)
def test__rule__that_cannot_be__is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RULE.validate_python(rule)
