"""Plans: batch sizes, steps and learning rates stay inside their limits for any table."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.features.codec import Codec
from models.training.pretraining_plan import (
    HELD_OUT_CAP,
    MAX_BATCH_TOKENS,
    MAX_EPOCHS,
    MAX_HELD_OUT_ROWS,
    MIN_BATCH_ROWS,
    MIN_EVALUATIONS,
    MIN_STEPS,
    NUM_EVALUATIONS,
    PEAK_LEARNING_RATE,
    choose_batch_rows,
    choose_num_evaluations,
    choose_num_steps,
    is_evaluation_step,
    learning_rate,
    split_held_out,
)
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame


@given(st.integers(1, 10_000_000), st.integers(1, 2_000))
def test__batch_rows__any_table__within_limits(num_rows: int, num_columns: int) -> None:
    batch = choose_batch_rows(num_rows, num_columns)
    assert 1 <= batch <= num_rows
    assert batch <= MIN_BATCH_ROWS or batch * (num_columns + 1) <= MAX_BATCH_TOKENS


@given(st.integers(1, 10_000_000), st.floats(1e-5, 10), st.floats(0, 1e5))
def test__num_steps__any_table_and_time__affordable_and_useful(
    rows: int, step_s: float, seconds: float
) -> None:
    batch = choose_batch_rows(rows, 10)
    steps = choose_num_steps(rows, batch, step_s=step_s, max_seconds=seconds)
    assert steps >= MIN_STEPS
    if steps > MIN_STEPS:
        assert steps * step_s <= seconds
        assert steps * batch <= MAX_EPOCHS * rows + batch


@given(st.integers(MIN_STEPS, 50_000))
def test__learning_rate__any_length__rises_then_falls(num_steps: int) -> None:
    rates = [learning_rate(step, num_steps) for step in range(0, num_steps, max(1, num_steps // 200))]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[0] > 0
    assert max(rates) <= PEAK_LEARNING_RATE


@pytest.mark.parametrize("num_steps", [1, 19, 20, 1000, 1003])
def test__evaluation_steps__any_length__end_included_and_not_too_many(num_steps: int) -> None:
    steps = [step for step in range(num_steps + 1) if is_evaluation_step(step, num_steps)]
    assert steps[-1] == num_steps
    assert 0 not in steps
    assert len(steps) <= 2 * NUM_EVALUATIONS


@pytest.mark.parametrize("num_rows", [1, 2, 3, 50, 200, 60_000])
def test__held_out__any_size__apart_and_in_proportion(num_rows: int) -> None:
    frame = mixed_frame(num_rows)
    codes = Codec.fit(frame, MIXED_SCHEMA).transform(frame)
    data = split_held_out(codes, seed=3)
    if num_rows < 3:
        assert len(data.codes) == len(data.held_out) == num_rows
        return
    assert len(data.codes) + len(data.held_out) == num_rows
    assert 1 <= len(data.held_out) <= max(1, min(MAX_HELD_OUT_ROWS, HELD_OUT_CAP * num_rows))
    again = split_held_out(codes, seed=3)
    assert torch.equal(data.held_out.index, again.held_out.index)
    assert not torch.equal(data.held_out.index, split_held_out(codes, seed=4).held_out.index) or num_rows < 50


def test__num_evaluations__take_no_more_than_their_share_of_the_time() -> None:
    assert choose_num_evaluations(0.001, 60.0) == NUM_EVALUATIONS
    assert choose_num_evaluations(1.0, 50.0) == 10
    assert choose_num_evaluations(100.0, 10.0) == choose_num_evaluations(1.0, -5.0) == MIN_EVALUATIONS
    looks = [step for step in range(1, 101) if is_evaluation_step(step, 100, 4)]
    assert looks == [25, 50, 75, 100]
