"""Tell a stuck task from a slow one."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StallClock:
    """A task is stuck when its next step takes many times longer than the longest so far.

    Phases differ (an epoch reports ten times a second, a boosted-tree baseline once a minute), so the longest
    step counts, not the usual one; and no task is stuck before `floor_s` without a step.
    """

    floor_s: float
    factor: float
    last_step_at: float
    longest_s: float = 0.0
    _step: tuple[int, int, str] | None = field(default=None, repr=False)

    def observe(self, now: float, step: int, total: int, message: str) -> None:
        """Note a report; only one that differs from the last counts as a step."""
        if (step, total, message) == self._step:
            return
        if self._step is not None:
            self.longest_s = max(self.longest_s, now - self.last_step_at)
        self._step = (step, total, message)
        self.last_step_at = now

    @property
    def limit_s(self) -> float:
        return max(self.floor_s, self.factor * self.longest_s)

    def is_stalled(self, now: float) -> bool:
        return now - self.last_step_at > self.limit_s
