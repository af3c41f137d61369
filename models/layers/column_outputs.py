"""Unshared classifiers, one per column, computed in a few batched products. `C` columns, `N` cells, `D` width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from models.features.codec import NUM_SPECIAL_CODES, Codec, SpecialCode

FIRST_CLASS = int(SpecialCode.MISSING)
"""Classes are the observable codes of a column's segment: missing, unknown, then its values."""

NUM_EXTRA_CLASSES = NUM_SPECIAL_CODES - FIRST_CLASS

# Marginals of rare classes start no lower than this share, so that their logits stay moderate.
SMOOTHING = 1e-4


class ColumnOutputs(nn.Module):
    """Log-probabilities of each column's classes from that column's hidden vectors.

    Columns with about as many classes (up to the same power of two) share one batched product with padding. Biases
    start at the marginal distribution, so training starts at the loss of predicting it.

    Shape: hidden float32 [C', N, D] and targets int64 [C', N] (codes counted from each column's segment)
    -> negative log-likelihoods float32 [C', N].

    Example:
        >>> import polars as pl
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> codec = Codec.fit(pl.DataFrame({"a": [0.0, 1.0, 2.0]}), schema)
        >>> outputs = ColumnOutputs(codec, 8, generator=torch.Generator().manual_seed(0))
        >>> outputs(torch.zeros(1, 5, 8), torch.full((1, 5), 4), [0]).shape
        torch.Size([1, 5])
    """

    def __init__(self, codec: Codec, d_model: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.d_model = d_model
        sizes = [column.num_values + NUM_EXTRA_CLASSES for column in codec.columns]
        buckets: dict[int, list[int]] = {}
        for position, size in enumerate(sizes):
            buckets.setdefault((size - 1).bit_length(), []).append(position)
        self.buckets = tuple(tuple(buckets[key]) for key in sorted(buckets))
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for number, members in enumerate(self.buckets):
            width = max(sizes[position] for position in members)
            weight = torch.empty(len(members), width * d_model)
            self.weights.append(nn.Parameter(weight.normal_(std=0.5 * d_model**-0.5, generator=generator)))
            bias = torch.full((len(members), width), -torch.inf)
            for row, position in enumerate(members):
                bias[row, : sizes[position]] = _log_marginal(codec, position)
            padding = torch.isinf(bias)
            self.biases.append(nn.Parameter(bias.masked_fill(padding, 0.0)))
            fill = torch.zeros_like(bias).masked_fill_(padding, -torch.inf)
            self.register_buffer(f"padding_{number}", fill, persistent=False)

    def forward(self, hidden: torch.Tensor, targets: torch.Tensor, columns: Sequence[int]) -> torch.Tensor:
        """Negative log-likelihoods; shapes above. `columns` are the positions of the C' columns, increasing."""
        buckets = self._present(columns)
        order = [place for _, _, places in buckets for place in places]
        sizes = [len(places) for _, _, places in buckets]
        classes = _take(targets, order) - FIRST_CLASS
        losses = []
        parts = zip(torch.split(_take(hidden, order), sizes), torch.split(classes, sizes), strict=True)
        for (number, rows, _), (part, guessed) in zip(buckets, parts, strict=True):
            log_probabilities = functional.log_softmax(self._logits(number, rows, part), dim=-1)
            losses.append(-log_probabilities.gather(-1, guessed.unsqueeze(-1)).squeeze(-1))
        back = sorted(range(len(order)), key=order.__getitem__)
        return _take(torch.cat(losses), back) if losses else hidden.new_zeros(targets.shape)

    def log_probabilities(self, hidden: torch.Tensor, columns: Sequence[int]) -> list[torch.Tensor]:
        """Per column, float32 [N, classes]: missing, unknown, then its values."""
        found: dict[int, torch.Tensor] = {}
        for number, rows, places in self._present(columns):
            logits = self._logits(number, rows, _take(hidden, places))
            for place, column_logits in zip(places, logits, strict=True):
                finite = ~torch.isinf(column_logits[0]) if len(column_logits) else slice(None)
                found[place] = functional.log_softmax(column_logits[:, finite], dim=-1)
        return [found[place] for place in range(len(columns))]

    def product_of(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [classes, D] and bias [classes] of one column: its logits of missing, unknown, then its values."""
        for number, members in enumerate(self.buckets):
            if position in members:
                row = members.index(position)
                padding: torch.Tensor = getattr(self, f"padding_{number}")
                used = ~torch.isinf(padding[row])
                weight = self.weights[number][row].view(-1, self.d_model)
                return weight[used].detach(), self.biases[number][row][used].detach()
        raise IndexError(f"there are outputs for {sum(map(len, self.buckets))} columns, not for {position}")

    def _present(self, columns: Sequence[int]) -> list[tuple[int, list[int], list[int]]]:
        """Of each bucket with present columns its number, their rows in it and their places among `columns`."""
        place_of = {column: place for place, column in enumerate(columns)}
        found: list[tuple[int, list[int], list[int]]] = []
        for number, members in enumerate(self.buckets):
            rows = [row for row, column in enumerate(members) if column in place_of]
            if rows:
                found.append((number, rows, [place_of[members[row]] for row in rows]))
        return found

    def _logits(self, number: int, rows: list[int], hidden: torch.Tensor) -> torch.Tensor:
        """Of some rows of a bucket, [members, N, D] -> [members, N, width]; -inf where a column has fewer classes."""
        padding: torch.Tensor = getattr(self, f"padding_{number}")
        weight = _take(self.weights[number], rows).view(len(rows), -1, self.d_model)
        bias = (_take(self.biases[number], rows) + _take(padding, rows)).unsqueeze(1)
        return torch.baddbmm(bias, hidden, weight.transpose(1, 2))


def _take(tensor: torch.Tensor, rows: list[int]) -> torch.Tensor:
    """Rows of a tensor; itself when all are taken in order (the common case: nothing is copied)."""
    if rows == list(range(tensor.shape[0])):
        return tensor
    if len(rows) == 1:
        return tensor[rows[0] : rows[0] + 1]
    return tensor.index_select(0, torch.tensor(rows, device=tensor.device))


def _log_marginal(codec: Codec, position: int) -> torch.Tensor:
    """Logarithm of the smoothed marginal distribution over the column's classes, float32 [classes]."""
    column = codec.columns[position]
    known = torch.tensor(column.frequencies, dtype=torch.float64)
    unknown = (1.0 - known.sum()).clamp(min=0.0) if len(known) else torch.tensor(1.0, dtype=torch.float64)
    observed = torch.cat([unknown.reshape(1), known]) * (1.0 - column.missing_fraction)
    marginal = torch.cat([torch.tensor([column.missing_fraction], dtype=torch.float64), observed]) + SMOOTHING
    return (marginal / marginal.sum()).log().to(torch.float32)
