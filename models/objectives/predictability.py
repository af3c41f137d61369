"""How well a row's other columns predict each column, against predicting its marginal distribution.

`B` rows, `C` columns, `V` values of a column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from models.features.codec import CategoricalColumn, Codec, Codes, ContinuousColumn
from models.layers.column_outputs import FIRST_CLASS, NUM_EXTRA_CLASSES

Guess = Callable[[Codes, Sequence[int]], list[torch.Tensor]]
"""Hide columns in every row; per hidden column log-probabilities float32 [B, classes]: missing, unknown, its values."""

# One forward pass per column over these rows; tables with more columns hide several distant columns at once, which
# takes at most 1/64 of the context away.
MAX_ROWS = 1_000
MIN_ROWS = 100
MAX_PASSES = 64
MIN_PASSES = 8  # where time is short: an eighth of the context
MAX_TOKENS = 4_000_000  # through the encoder, over all passes: seconds


@torch.no_grad()
def column_predictability(
    guess: Guess, codec: Codec, held_out: Codes, *, max_tokens: int | None = None
) -> dict[str, dict[str, Any]]:
    """Per codec column, measures on held-out rows when it is hidden, with its source; JSON-serialisable.

    `log_loss` and `marginal_log_loss` in nats, the marginal being that of the training rows; `explained` is the share
    of the marginal's loss that the other columns take away. Categorical columns add `accuracy` and
    `marginal_accuracy`; continuous ones `r2`, of the expected bin, so on the scale of quantiles.
    """
    budget = MAX_TOKENS if max_tokens is None else min(max_tokens, MAX_TOKENS)
    tokens_per_row = len(codec.columns) + 1
    affordable = max(MIN_PASSES, budget // (MIN_ROWS * tokens_per_row))
    num_passes = min(len(codec.sources), MAX_PASSES, affordable)
    num_rows = max(MIN_ROWS, min(MAX_ROWS, budget // (num_passes * tokens_per_row)))
    codes = held_out.select_rows(slice(0, num_rows))
    local = codes.local()
    measures: dict[int, dict[str, Any]] = {}
    for first in range(num_passes):
        hidden = [i for i, source in enumerate(codec.source_index.tolist()) if source % num_passes == first]
        for position, guessed in zip(hidden, guess(codes, hidden), strict=True):
            measures[position] = _measure(codec.columns[position], guessed, local[:, position] - FIRST_CLASS)
    return {column.name: measures[position] for position, column in enumerate(codec.columns)}


def _measure(
    column: CategoricalColumn | ContinuousColumn, guess: torch.Tensor, classes: torch.Tensor
) -> dict[str, Any]:
    """Measures of log-probabilities float32 [B, classes] against classes int64 [B]."""
    marginal = _marginal(column)
    log_loss = -float(guess.gather(1, classes.unsqueeze(1)).mean(dtype=torch.float64))
    marginal_log_loss = -float(marginal.log()[classes].mean())
    measures: dict[str, Any] = {
        "kind": column.kind,
        "num_rows": len(classes),
        "log_loss": _rounded(log_loss),
        "marginal_log_loss": _rounded(marginal_log_loss),
        "explained": _rounded(1 - log_loss / marginal_log_loss) if marginal_log_loss > 1e-3 else None,
    }
    if isinstance(column, CategoricalColumn):
        measures["accuracy"] = _rounded(float((guess.argmax(1) == classes).double().mean()))
        measures["marginal_accuracy"] = _rounded(float((classes == int(marginal.argmax())).double().mean()))
    else:
        measures["r2"] = _r2(guess, classes)
    return measures


def _marginal(column: CategoricalColumn | ContinuousColumn) -> torch.Tensor:
    """Smoothed distribution over missing, unknown and the values in the training rows, float64 [classes]."""
    known = torch.tensor(column.frequencies, dtype=torch.float64) * (1 - column.missing_fraction)
    unknown = (1 - column.missing_fraction - known.sum()).clamp(min=0)
    marginal = torch.cat([torch.tensor([column.missing_fraction]).double(), unknown.reshape(1), known]) + 1e-4
    return marginal / marginal.sum()


def _r2(guess: torch.Tensor, classes: torch.Tensor) -> float | None:
    """Share of the variance of the bin's number explained by its expectation; None without variance."""
    observed = classes >= NUM_EXTRA_CLASSES
    values = guess[observed, NUM_EXTRA_CLASSES:].double().softmax(dim=1)
    truth = (classes[observed] - NUM_EXTRA_CLASSES).double()
    if len(truth) < 2 or float(truth.var()) == 0.0:
        return None
    expected = values @ torch.arange(values.shape[1], dtype=torch.float64)
    return _rounded(1 - float(((truth - expected) ** 2).mean() / truth.var(correction=0)))


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
