"""Replaced columns: show other rows' values in some cells, tell which cells they are.

`B` rows, `C` columns, `C'` columns a batch keeps, `D` width.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional

from models.encoders import Encoder
from models.features.codec import CategoricalColumn, Codec, CodecColumn, Codes
from models.objectives.base import Objective
from models.objectives.corruption import Damage

EVALUATION_TOKENS = 16_384  # per forward pass without gradients
MIN_SHARE = 1e-3  # of cells that detectors start by expecting to be replaced


class ReplacedColumnsConfig(BaseModel):
    """How many cells are replaced; between 15 and 50 % the share hardly matters (arXiv 2012.06678, appendix)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["replaced_columns"] = "replaced_columns"
    guesses_columns: ClassVar[bool] = False
    rate: float = Field(default=0.3, gt=0, lt=1, description="Share of cells that show another row's value.")

    def build(self, codec: Codec, encoder: Encoder, *, generator: torch.Generator) -> Objective:
        """A freshly initialised objective."""
        return ReplacedColumns(codec, encoder.d_model, self, generator=generator)


class ReplacedColumns(Objective):
    """RTD of TabTransformer (arXiv 2012.06678, §2): is this cell's value the row's own? One detector per column.

    The value shown is that of another row of the batch, which is a draw from the column's marginal distribution, new
    in every step; all columns of a source come from one row. A cell counts as replaced if its value differs: one that
    drew the same value could not be told. NOTE[DIFF]: numbers are replaced too, and batches leave whole columns out.
    """

    def __init__(
        self, codec: Codec, d_model: int, config: ReplacedColumnsConfig, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        self.damage = Damage(codec)
        weight = torch.empty(len(codec.columns), d_model)
        self.weight = nn.Parameter(weight.normal_(std=0.5 * d_model**-0.5, generator=generator))
        shares = [max(config.rate * _chance_of_difference(column), MIN_SHARE) for column in codec.columns]
        self.bias = nn.Parameter(torch.tensor([math.log(share / (1 - share)) for share in shares]))

    def loss(
        self,
        encoder: Encoder,
        codes_index: torch.Tensor,
        codes_fraction: torch.Tensor,
        *,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Mean binary cross-entropy of all present cells, in nats; shapes as in `Objective.loss`."""
        index, fraction = self.damage.fold(codes_index, codes_fraction, generator=generator)
        columns = torch.tensor(self.damage.draw_present_columns(generator=generator))
        kept = columns.to(index.device)
        shown, shown_fraction, is_replaced = self._replace(index, fraction, generator=generator)
        shown, shown_fraction, is_replaced = (
            tensor.index_select(1, kept) for tensor in (shown, shown_fraction, is_replaced)
        )
        logits = self._logits(encoder, shown, shown_fraction, columns)
        return functional.binary_cross_entropy_with_logits(logits, is_replaced.to(logits))

    @torch.no_grad()
    def held_out_loss(self, encoder: Encoder, codes: Codes, *, seed: int) -> float:
        """Mean binary cross-entropy in nats at replacements fixed by the seed; nothing folded, no column left out."""
        logits, is_replaced = self._detect(encoder, codes, seed)
        losses = functional.binary_cross_entropy_with_logits(
            logits, is_replaced.to(torch.float32), reduction="none"
        )
        return float(losses.sum(dtype=torch.float64)) / max(losses.numel(), 1)

    @torch.no_grad()
    def column_report(
        self, encoder: Encoder, codec: Codec, codes: Codes, *, seed: int, max_tokens: int | None = None
    ) -> dict[str, dict[str, Any]]:
        """Per column the area under the ROC curve of its detector; None where no cell, or every cell, was replaced.

        One pass, as a held-out loss takes.
        """
        del max_tokens
        logits, is_replaced = self._detect(encoder, codes, seed)
        return {
            column.name: {
                "kind": column.kind,
                "num_rows": len(codes),
                "num_replaced": int(is_replaced[:, position].sum()),
                "detection_auc": _auc(logits[:, position], is_replaced[:, position]),
            }
            for position, column in enumerate(codec.columns)
        }

    def _replace(
        self, index: torch.Tensor, fraction: torch.Tensor, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Codes with some cells of other rows, and where they differ from the own ones, bool [B, C]."""
        is_swapped = self.damage.draw_per_source(len(index), generator=generator) < self.config.rate
        shown, shown_fraction = self.damage.swap(index, fraction, is_swapped, generator=generator)
        return shown, shown_fraction, (shown != index) | (shown_fraction != fraction)

    def _detect(self, encoder: Encoder, codes: Codes, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and truth [B, C] on the CPU, at replacements fixed by the seed."""
        device = self.weight.device
        generator = torch.Generator().manual_seed(seed)
        # Rows in random order, as in training: neighbours in a table may be alike.
        order = torch.randperm(len(codes), generator=generator)
        shuffled = codes.select_rows(order.to(codes.index.device)).to(device)
        index, fraction, is_replaced = self._replace(shuffled.index, shuffled.fraction, generator=generator)
        columns = torch.arange(index.shape[1])
        chunk = max(16, EVALUATION_TOKENS // (index.shape[1] + 1))
        logits = [
            self._logits(
                encoder, index[start : start + chunk], fraction[start : start + chunk], columns
            ).cpu()
            for start in range(0, len(codes), chunk)
        ]
        return torch.cat([torch.empty(0, index.shape[1]), *logits]), is_replaced.cpu()

    def _logits(
        self, encoder: Encoder, index: torch.Tensor, fraction: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """Logits float32 [B, C'] of "replaced"."""
        tokens = encoder(index, fraction, columns).tokens
        columns = columns.to(index.device)
        weight = functional.embedding(columns, self.weight)
        bias = functional.embedding(columns, self.bias.unsqueeze(1)).squeeze(1)
        logits: torch.Tensor = (tokens * weight).sum(dim=2) + bias
        return logits


def _chance_of_difference(column: CodecColumn) -> float:
    """That two rows' codes of a column differ; numbers of different rows nearly always do."""
    known = [frequency * (1 - column.missing_fraction) for frequency in column.frequencies]
    unknown = max(1 - column.missing_fraction - sum(known), 0.0)
    same = sum(share * share for share in (column.missing_fraction, unknown))
    if isinstance(column, CategoricalColumn):
        same += sum(share * share for share in known)
    return max(1.0 - same, 0.0)


def _auc(scores: torch.Tensor, positive: torch.Tensor) -> float | None:
    """Chance that a replaced cell scores above an own one, ties half; scores float32 [B], positive bool [B]."""
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if num_positive == 0 or num_negative == 0:
        return None
    scores = scores.contiguous()
    ordered = scores.sort().values
    low = torch.searchsorted(ordered, scores, side="left")
    high = torch.searchsorted(ordered, scores, side="right")
    ranks = (low + high + 1).double() / 2
    above = float(ranks[positive].sum()) - num_positive * (num_positive + 1) / 2
    return round(above / (num_positive * num_negative), 4)
