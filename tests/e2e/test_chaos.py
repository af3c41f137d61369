"""`make chaos` in short form: one kill of each kind at most, and the whole account."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import chaos


@pytest.mark.slow
def test__api_and_worker__killed_at_random__everything_is_accounted_for(tmp_path: Path) -> None:
    summary = chaos.run(tmp_path / "home", None, seconds=6.0, num_clients=2, seed=3, pause_s=(0.5, 1.5))
    assert summary["violations"] == []
    assert sum(summary["kills"].values()) >= 1
    assert summary["acknowledged_jobs"] >= 2
