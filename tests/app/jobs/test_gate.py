from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.gate import TOLERANCE, judge, unpaired
from storage.orm import Head, Target

shares = st.floats(0.5, 1.0)


def target(task: str = "binary") -> Target:
    return Target(id="tgt_1", table_id="tbl_1", name="churn", task=task)


def head(version: int, metrics: dict[str, Any] | None) -> Head:
    return Head(id=f"head_{version}", version=version, metrics=metrics)


def auc(value: float, reach: float = 0.02) -> dict[str, Any]:
    return {"auc": {"value": value, "low": value - reach, "high": value + reach}}


def paired(champion: str, low: float, high: float) -> dict[str, Any]:
    middle = (low + high) / 2
    return {
        "champion": champion, "metric": "auc", "difference": middle, "low": low, "high": high, "is_paired": True,
    }  # fmt: skip


@pytest.mark.parametrize("champion", [None, head(1, auc(0.5))])
def test__judge__a_head_that_does_not_beat_the_constant__never_passes(champion: Head | None) -> None:
    verdict = judge(target(), auc(0.99), False, champion, paired("head_1", 0.1, 0.2))
    assert not verdict.passes
    assert "constant" in verdict.reason


def test__judge__the_first_head_that_beats_the_constant__passes() -> None:
    assert judge(target(), auc(0.6), True, None, None).passes


@given(st.floats(-0.5, 0.5), st.floats(0.0, 0.3))
def test__judge__a_paired_comparison__passes_what_looks_as_good_or_is_surely_hardly_worse(
    middle: float, reach: float
) -> None:
    comparison = paired("head_1", middle - reach, middle + reach)
    verdict = judge(target(), auc(0.5), True, head(1, auc(0.9)), comparison)
    expected = comparison["difference"] >= 0 or (comparison["high"] >= 0 and comparison["low"] >= -TOLERANCE)
    assert verdict.passes == expected


def test__judge__a_comparison_with_another_champion__does_not_count() -> None:
    verdict = judge(target(), auc(0.6), True, head(2, auc(0.9)), paired("head_1", 0.1, 0.2))
    assert not verdict.passes
    assert "version 2" in verdict.reason


@given(shares, shares)
def test__unpaired__a_clearly_lower_value__is_refused_and_a_higher_one_passes(new: float, old: float) -> None:
    verdict = judge(target(), auc(new, 0.001), True, head(1, auc(old, 0.001)), None)
    if new >= old:
        assert verdict.passes
    elif new < old - TOLERANCE:
        assert not verdict.passes


@pytest.mark.parametrize("metrics", [None, {}, {"auc": {"value": None, "reason": "one class"}}])
def test__judge__a_champion_that_cannot_be_compared__stays(metrics: dict[str, Any] | None) -> None:
    assert unpaired(target(), auc(0.9), head(1, metrics)) is None
    assert not judge(target(), auc(0.9), True, head(1, metrics), None).passes
