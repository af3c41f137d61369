"""A batch that is too large for the cache goes through in parts; every row counts once."""

from __future__ import annotations

import math

import pytest
import torch

from models.encoders import ColumnTransformerConfig
from models.features.codec import Codec
from models.objectives import DEFAULT
from models.training import pretraining_run
from models.training.pretraining_plan import split_held_out
from models.training.pretraining_run import PretrainingRun
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame


def _trained(batch_rows: int) -> PretrainingRun:
    frame = mixed_frame(120)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    run = PretrainingRun(
        split_held_out(codec.transform(frame), seed=0),
        codec,
        ColumnTransformerConfig(d_model=8, num_layers=1, num_heads=2),
        DEFAULT,
        batch_rows=batch_rows,
        seed=0,
        device=torch.device("cpu"),
    )
    run.evaluate()
    for _ in range(30):
        run.train_step(30)
    run.evaluate()
    return run


@pytest.mark.parametrize("part_bytes", [1, 1_000])
def test__train_step__batch_in_parts__learns_and_repeats_its_bits(
    part_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining_run, "MAX_PART_BYTES", part_bytes)
    run, again = _trained(24), _trained(24)
    assert math.isfinite(run.recent_loss)
    assert run.curve[-1][1] < run.curve[0][1]
    assert run.curve == again.curve
