"""How long pretraining goes on and how: batch size, number of steps, learning rate, what is held out.

`n` training rows, `C` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from models.features.codec import Codes

# Measured on bank_marketing (16 columns, d=32, one thread): 128 rows a step gave a lower held-out loss per second than
# 256 or 512; below 64 the fixed cost per step shows.
BATCH_ROWS = 128
MIN_BATCH_ROWS = 16
MAX_BATCH_TOKENS = 32_768  # bounds the memory of wide tables
BATCHES_PER_EPOCH = (
    8  # small tables take smaller batches, down to the minimum, to see this many steps per epoch
)

# More passes than this over the same rows did not lower the held-out loss of tables from 200 to 45,000 rows.
MAX_EPOCHS = 100
MAX_STEPS = 20_000
MIN_STEPS = 20

HELD_OUT_SHARE = 0.05
MIN_HELD_OUT_ROWS = 32
MAX_HELD_OUT_ROWS = 2_048
MAX_HELD_OUT_TOKENS = 262_144  # bounds the time of looks at wide tables
HELD_OUT_CAP = 0.2  # of the rows, however few there are

NUM_EVALUATIONS = 20  # of the held-out loss, over the whole run …
MIN_EVALUATIONS = 4  # … or fewer, down to this, where they would take more than
EVALUATION_SHARE = 0.2  # of the time for steps
REPORT_SHARE = 0.1  # of the time limit, for how columns predict each other
PATIENCE = 6  # evaluations without a better held-out loss before training stops

PEAK_LEARNING_RATE = 2e-3
WARMUP_SHARE = 0.1
MIN_WARMUP_STEPS = 20
MAX_WARMUP_STEPS = 300
FINAL_SHARE = 0.02  # of the peak rate, at the last step


@dataclass(frozen=True)
class PretrainingData:
    """Codes of the rows weights are fitted on, and of the rows only looked at."""

    codes: Codes
    held_out: Codes

    def on(self, device: torch.device) -> PretrainingData:
        """The same on the device, for the whole run; rows to fit stay where they are if they took more than half of a
        GPU's free memory, and cross over batch by batch.
        """
        codes = self.codes.to(device) if _fits(self.codes, device) else self.codes
        return PretrainingData(codes, self.held_out.to(device))


def _fits(codes: Codes, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return codes.index.nbytes + codes.fraction.nbytes <= free // 2


def split_held_out(codes: Codes, *, seed: int) -> PretrainingData:
    """Set a share of the training rows aside for the held-out loss; rows of the evaluation part are never among them.

    Fewer than three rows are fitted and looked at alike: there is nothing to choose.
    """
    num_rows = len(codes)
    if num_rows < 3:
        return PretrainingData(codes, codes)
    wanted = min(max(round(HELD_OUT_SHARE * num_rows), MIN_HELD_OUT_ROWS), MAX_HELD_OUT_ROWS)
    wanted = min(wanted, max(MIN_HELD_OUT_ROWS, MAX_HELD_OUT_TOKENS // (codes.index.shape[1] + 1)))
    num_held_out = max(1, min(wanted, int(HELD_OUT_CAP * num_rows)))
    order = torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed))
    held_out, fitted = order[:num_held_out].sort().values, order[num_held_out:].sort().values
    return PretrainingData(codes.select_rows(fitted), codes.select_rows(held_out))


def choose_batch_rows(num_rows: int, num_columns: int) -> int:
    """Rows per step."""
    batch = min(BATCH_ROWS, max(MIN_BATCH_ROWS, num_rows // BATCHES_PER_EPOCH))
    batch = min(batch, max(MIN_BATCH_ROWS, MAX_BATCH_TOKENS // (num_columns + 1)))
    return max(1, min(batch, num_rows))


def choose_num_evaluations(evaluation_s: float, max_seconds: float) -> int:
    """Looks at held-out rows that fit into their share of `max_seconds` at `evaluation_s` each."""
    affordable = int(EVALUATION_SHARE * max(max_seconds, 0.0) / max(evaluation_s, 1e-9))
    return max(MIN_EVALUATIONS, min(NUM_EVALUATIONS, affordable))


def choose_num_steps(num_rows: int, batch_rows: int, *, step_s: float, max_seconds: float) -> int:
    """Steps that fit into `max_seconds` at `step_s` each, and that the rows are worth."""
    useful = min(MAX_STEPS, math.ceil(MAX_EPOCHS * num_rows / batch_rows))
    affordable = int(max_seconds / max(step_s, 1e-6))
    return max(MIN_STEPS, min(useful, affordable))


def learning_rate(step: int, num_steps: int) -> float:
    """Rate of 0-based `step`: linear warm-up, then half a cosine down to a fiftieth of the peak."""
    warmup = min(max(round(WARMUP_SHARE * num_steps), MIN_WARMUP_STEPS), MAX_WARMUP_STEPS)
    if step < warmup:
        return PEAK_LEARNING_RATE * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, num_steps - warmup))
    return PEAK_LEARNING_RATE * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * progress)))


def is_evaluation_step(step: int, num_steps: int, num_evaluations: int = NUM_EVALUATIONS) -> bool:
    """Whether the held-out loss is measured after `step` steps (never at 0, always at the end)."""
    interval = max(1, num_steps // num_evaluations)
    return step > 0 and (step % interval == 0 or step == num_steps)
