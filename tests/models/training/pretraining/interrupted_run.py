"""A pretraining run for tests to kill: `python -m tests.models.training.pretraining.interrupted_run FOLDER`.

Saves a checkpoint after every step and says each step on a line of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from models.bundle import EncoderBundle
from models.encoders import EncoderConfig
from models.objectives import DEFAULT as OBJECTIVES
from models.objectives import ObjectiveConfig
from models.progress import ShouldStop, never_stop
from models.training.pretraining import pretrain
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame

NUM_STEPS = 24


def run(
    folder: Path | None,
    should_stop: ShouldStop = never_stop,
    checkpoint_every_s: float = 0.0,
    *,
    architecture: EncoderConfig = TINY,
    objectives: Sequence[ObjectiveConfig] = OBJECTIVES,
) -> EncoderBundle:
    return pretrain(
        mixed_frame(100),
        MIXED_SCHEMA,
        architecture=architecture,
        objectives=objectives,
        max_seconds=60.0,
        seed=5,
        checkpoint_dir=folder,
        progress=lambda *_: None,
        should_stop=should_stop,
        num_steps=NUM_STEPS,
        checkpoint_every_s=checkpoint_every_s,
    )


def say_step() -> bool:
    """Never asks to stop; it is called before every step."""
    sys.stdout.write("step\n")
    sys.stdout.flush()
    return False


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), say_step)
