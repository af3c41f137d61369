from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.worker.stall import StallClock

gaps = st.lists(st.floats(min_value=0.001, max_value=1_000.0), min_size=1, max_size=30)


@given(gaps)
def test__stall_clock__steps_up_to_the_floor_or_many_times_the_longest__are_no_stall(
    intervals: list[float],
) -> None:
    clock = StallClock(floor_s=10.0, factor=5.0, last_step_at=0.0)
    now = 0.0
    clock.observe(now, 0, 100, "")
    for step, interval in enumerate(intervals, start=1):
        now += interval
        clock.observe(now, step, 100, "")
    limit = max(10.0, 5.0 * max(intervals))
    assert not clock.is_stalled(now + limit * 0.999)
    assert clock.is_stalled(now + limit * 1.001)


def test__stall_clock__the_same_report_again__is_no_step() -> None:
    clock = StallClock(floor_s=10.0, factor=5.0, last_step_at=0.0)
    for now in range(12):
        clock.observe(float(now), 3, 10, "waiting")
    assert clock.is_stalled(11.0)


def test__stall_clock__before_the_first_report__has_the_floor() -> None:
    clock = StallClock(floor_s=10.0, factor=5.0, last_step_at=100.0)
    assert not clock.is_stalled(109.0)
    assert clock.is_stalled(111.0)
