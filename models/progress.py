"""How long-running work reports its progress and learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""`progress(step, total, message)`: `step` of `total`, both >= 0; `total` 0 means unknown. Cheap to call."""

ShouldStop = Callable[[], bool]
"""Polled between steps; once true, the work keeps its last checkpoint and raises `errors.Interrupted`."""


def no_progress(step: int, total: int, message: str) -> None:
    """Report to nobody."""


def never_stop() -> bool:
    """Work that nobody can interrupt."""
    return False
