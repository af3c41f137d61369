"""How much learned features count, by what pretraining says of the columns."""

from __future__ import annotations

import pytest

from models.training.view_features import LEAST_VARIANCE, learned_variance


def _columns(*losses: tuple[float | None, float | None]) -> dict[str, dict[str, float | None]]:
    return {
        f"column {number}": {"log_loss": after, "marginal_log_loss": before}
        for number, (after, before) in enumerate(losses)
    }


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (((0.5, 1.0), (2.0, 2.0)), 1.0),  # a sixth of all is explained
        (((0.99, 1.0), (2.97, 3.0)), 0.5),  # a hundredth
        (((1.01, 1.0), (3.0, 3.0)), LEAST_VARIANCE),  # worse than the columns' own frequencies
        (((1.0, 1.0), (None, None)), LEAST_VARIANCE),  # a column without held-out values says nothing
        (((0.0, 0.0),), 1.0),  # constant columns: nothing to explain
        ((), 1.0),
    ],
)
def test__learned_variance__share_explained__counts_up_to_a_fiftieth(
    losses: tuple[tuple[float | None, float | None], ...], expected: float
) -> None:
    assert learned_variance(_columns(*losses)) == pytest.approx(expected)


def test__learned_variance__objective_that_guesses_no_cells__is_one() -> None:
    assert learned_variance({"age": {"detection_auc": 0.7}}) == 1.0
