"""What many tests need and no test changes: one table, one encoder pretrained on it for a few steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from models.bundle import EncoderBundle
from models.encoders import EncoderConfig
from models.objectives import DEFAULT as OBJECTIVES
from models.progress import never_stop, no_progress
from models.training.pretraining import pretrain
from tests.models.small_tables import COLOURS, MIXED_SCHEMA, TINY, mixed_frame


@dataclass(frozen=True)
class Pretrained:
    """`signal` [N] is the colour's number, which the row features know; labels are made of it and noise."""

    frame: pl.DataFrame
    bundle: EncoderBundle
    signal: np.ndarray


def pretrained_bundle(
    frame: pl.DataFrame, *, config: EncoderConfig = TINY, num_steps: int = 20, seed: int = 0
) -> EncoderBundle:
    return pretrain(
        frame,
        MIXED_SCHEMA,
        architecture=config,
        objectives=OBJECTIVES,
        max_seconds=60.0,
        seed=seed,
        checkpoint_dir=None,
        progress=no_progress,
        should_stop=never_stop,
        num_steps=num_steps,
    )


@pytest.fixture(scope="session")
def pretrained() -> Pretrained:
    frame = mixed_frame(700)
    signal = np.array([COLOURS.index(colour) for colour in frame["colour"]], dtype=np.float64)
    return Pretrained(frame, pretrained_bundle(frame), signal)
