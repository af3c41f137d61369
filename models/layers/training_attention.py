"""Attention among few tokens, forward and backward, for training on the CPU.

`B` rows, `g` rows of a group, `T` queries, `S` tokens attended to, `D` width, `K` heads, `H` = D / K width of a head.

With a dozen tokens a row the products of a head are so small that what surrounds them decides: copies of heads, passes of
a softmax over short rows, products with a transposed right side (twice as slow in MKL as with a plain one). So:

- Projections are made with the tokens innermost, [D, g·T], and channels ordered by place in the head, then head. A head of
  a row is then a strided [H, T] matrix that the batched product takes as it is.
- Values have a row of ones more, so that the product that mixes them gives the sum of the weights too, and the one that
  goes back subtracts the softmax's mean. What is left of the softmax are an exponential forward and a product backward.
- Scores are held between ±`MAX_SCORE` instead of being shifted by their maximum.
- Rows go in groups whose attention weights stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

MAX_SCORE = 60.0
"""Scores beyond are taken as this: exp(60) times any number of columns is a float32, as is its inverse."""

GROUP_BYTES = 4 << 20
"""Of attention weights at a time, as they stay in the cache. Forward and backward of a block, one thread, ms with 0.6, 1.2,
2.4, 4 and 8 MB: 1,024 rows of 17 tokens (D=64, K=8) 146, 134, 122, 126, 154; 96 rows of 96 (D=32, K=4) 77, 59, 50, 45, 44."""

KEPT_BYTES = 128 << 20
"""Of attention weights of one layer, until the way back; more are computed again (5 to 10 % of the time)."""

MAX_PAIRS = 96 * 96
"""Of a query and a token it attends to. In wider rows the arithmetic outweighs the rest, and
`scaled_dot_product_attention`, which keeps no weights, is faster: ms as above, this against that: 17 tokens (256 rows) 19
and 23, 64 tokens (128 rows) 34 and 42, 96 tokens 45 and 50, 145 tokens (48 rows) 75 and 55."""


class Weights(NamedTuple):
    """Of one attention layer, as `nn.Linear` has them: [D, D] and [D], those of keys and values one below the other."""

    query: torch.Tensor
    query_bias: torch.Tensor
    key_value: torch.Tensor
    key_value_bias: torch.Tensor
    output: torch.Tensor
    output_bias: torch.Tensor


def is_worthwhile(query: torch.Tensor, context: torch.Tensor) -> bool:
    """Whether `attend` is the form to take: training, on the CPU, few tokens."""
    return is_training_here(query) and query.shape[1] * context.shape[1] <= MAX_PAIRS


def is_training_here(tokens: torch.Tensor) -> bool:
    """Whether gradients are asked for on the CPU."""
    return torch.is_grad_enabled() and tokens.device.type == "cpu" and tokens.dtype == torch.float32


def attend(query: torch.Tensor, context: torch.Tensor, weights: Weights, num_heads: int) -> torch.Tensor:
    """Multi-head attention, projections included; differentiable once.

    Shape: query float32 [B, T, D], context float32 [B, S, D] -> float32 [B, T, D].
    """
    other = None if context is query else context
    mixed: torch.Tensor = _Attend.apply(query, other, num_heads, *weights)  # type: ignore[no-untyped-call]
    return mixed


class _Attend(Function):
    """`context` None: the queries themselves."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, context: torch.Tensor | None, num_heads: int, *tensors: torch.Tensor
    ) -> torch.Tensor:
        core = AttentionCore(Weights(*tensors), num_heads)
        num_rows, num_queries, _ = query.shape
        num_tokens = num_queries if context is None else context.shape[1]
        plan = Plan.of(num_rows, num_heads, num_queries, num_tokens)
        output = torch.empty(query.shape)
        ctx.kept = []
        for start in range(0, num_rows, plan.group):
            rows = slice(start, start + plan.group)
            other = None if context is None else context[rows]
            ctx.kept.append(plan.keep(core.forward(query[rows], other, output[rows])))
        ctx.core, ctx.plan = core, plan
        ctx.save_for_backward(query, context)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        if ctx.kept is None:
            raise RuntimeError(
                "The way back through this layer was taken before; it keeps nothing for another."
            )
        query, context = ctx.saved_tensors
        core: AttentionCore = ctx.core
        found = Gradients()
        dquery = torch.empty(query.shape)
        dcontext = None if context is None else torch.empty(context.shape)
        for number, kept in enumerate(ctx.kept):
            rows = ctx.plan.rows(number)
            dother = None if dcontext is None else dcontext[rows]
            other = None if context is None else context[rows]
            core.backward(gradient[rows], query[rows], other, kept, dquery[rows], dother, found)
        ctx.kept = None
        return dquery, dcontext, None, *core.as_given(found)


class Kept(NamedTuple):
    """What a group of rows keeps for the way back."""

    queries: torch.Tensor  # [D, g·T]
    keys_values: torch.Tensor  # [2·D + K, g·S]
    mixed: torch.Tensor  # [D, g·T]
    totals: torch.Tensor  # [K·g, 1, T]
    weights: torch.Tensor | None  # [K·g, S, T]; None: computed again


@dataclass(frozen=True)
class Plan:
    """Rows of a group (about as many in each), and whether attention weights are kept for the way back."""

    group: int
    keeps_weights: bool

    @classmethod
    def of(cls, num_rows: int, num_heads: int, num_queries: int, num_tokens: int) -> Plan:
        """By the limits above."""
        num_bytes = 4 * num_rows * num_heads * num_queries * num_tokens
        num_groups = max(1, min(num_rows, round(num_bytes / GROUP_BYTES)))
        return cls(max(1, -(-num_rows // num_groups)), num_bytes <= KEPT_BYTES)

    def rows(self, number: int) -> slice:
        """Of a group."""
        return slice(number * self.group, (number + 1) * self.group)

    def keep(self, kept: Kept) -> Kept:
        """What is to be kept of it."""
        return kept if self.keeps_weights else kept._replace(weights=None)


class Sum:
    """Of a gradient's parts, one per group of rows."""

    def __init__(self) -> None:
        self.total: torch.Tensor | None = None

    def add(self, part: torch.Tensor) -> None:
        """Take the part over; the first is kept, the others are added to it."""
        self.total = part if self.total is None else self.total.add_(part)

    def over(self, like: torch.Tensor) -> torch.Tensor:
        """The sum; zeros where there was no row."""
        return torch.zeros_like(like) if self.total is None else self.total


class Gradients:
    """Of an attention layer's weights, in the order of channels used here: [3·D, D], [D], [D, D], [D]."""

    def __init__(self) -> None:
        self.projections, self.query_bias, self.output, self.output_bias = Sum(), Sum(), Sum(), Sum()


@lru_cache(maxsize=64)
def _orders(d_model: int, num_heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels from (head, place) to (place, head), and back, int64 [D]."""
    channels = torch.arange(d_model)
    return (
        channels.view(num_heads, -1).t().reshape(-1),
        channels.view(-1, num_heads).t().reshape(-1),
    )


class AttentionCore:
    """Forward and backward of a group of rows with the weights in the order of channels used here."""

    def __init__(self, weights: Weights, num_heads: int) -> None:
        d_model = weights.query.shape[0]
        self.given = weights
        self.num_heads, self.d_model = num_heads, d_model
        self.d_head = d_model // num_heads
        self.scale = self.d_head**-0.5
        self.order, self.back = _orders(d_model, num_heads)
        stacked = torch.cat([weights.query, weights.key_value]).view(3, d_model, d_model)
        self.projections = stacked.index_select(1, self.order).view(3 * d_model, d_model)
        self.query_bias = weights.query_bias.index_select(0, self.order).unsqueeze(1)
        self.output = weights.output.index_select(1, self.order)
        # A bias of keys adds the same to all scores of a query: nothing. One of values passes through unchanged.
        self.value_bias = weights.key_value_bias[d_model:]
        self.output_bias = torch.addmv(weights.output_bias, weights.output, self.value_bias)

    def as_given(self, found: Gradients) -> tuple[torch.Tensor, ...]:
        """Gradients of the weights as `Weights` has them."""
        d_model = self.d_model
        projections = found.projections.over(self.projections).view(3, d_model, d_model)
        projections = projections.index_select(1, self.back).view(3 * d_model, d_model)
        output_bias = found.output_bias.over(self.output_bias)
        key_value_bias = torch.zeros(2 * d_model)
        torch.mv(self.given.output.t(), output_bias, out=key_value_bias[d_model:])
        output = found.output.over(self.output).index_select(1, self.back)
        return (
            projections[:d_model],
            found.query_bias.over(self.value_bias).index_select(0, self.back),
            projections[d_model:],
            key_value_bias,
            output.addr_(output_bias, self.value_bias),
            output_bias,
        )

    def forward(self, query: torch.Tensor, context: torch.Tensor | None, output: torch.Tensor) -> Kept:
        """Fill `output`; shapes as in `attend`."""
        d_model, num_queries = self.d_model, query.shape[1]
        flat = query.reshape(-1, d_model)
        if context is None:
            num_tokens = num_queries
            projected = torch.empty(3 * d_model + self.num_heads, len(flat))
            queries, keys_values = projected[:d_model], projected[d_model:]
            torch.mm(self.projections, flat.t(), out=projected[: 3 * d_model])
        else:
            num_tokens = context.shape[1]
            queries = torch.mm(self.projections[:d_model], flat.t())
            keys_values = torch.empty(2 * d_model + self.num_heads, context.shape[0] * num_tokens)
            flat_context = context.reshape(-1, d_model)
            torch.mm(self.projections[d_model:], flat_context.t(), out=keys_values[: 2 * d_model])
        queries += self.query_bias
        keys_values[2 * d_model :] = 1.0
        weights = self._weights(queries, keys_values, num_queries, num_tokens)
        sums = torch.bmm(self._heads(keys_values[d_model:], num_tokens), weights)
        totals = sums[:, self.d_head :]
        mixed = torch.empty_like(queries)
        torch.div(sums[:, : self.d_head], totals, out=self._heads(mixed, num_queries))
        torch.addmm(self.output_bias, mixed.t(), self.output.t(), out=output.view(-1, d_model))
        return Kept(queries, keys_values, mixed, totals, weights)

    def _heads(self, channels: torch.Tensor, num_tokens: int) -> torch.Tensor:
        """[h·K, g·T] as a batch of matrices [K·g, h, T], without a copy."""
        num_places = channels.shape[0] // self.num_heads
        return channels.view(num_places, -1, num_tokens).transpose(0, 1)

    def _weights(
        self, queries: torch.Tensor, keys_values: torch.Tensor, num_queries: int, num_tokens: int
    ) -> torch.Tensor:
        """Exponentials of scores, [K·g, S, T]."""
        keys = self._heads(keys_values[: self.d_model], num_tokens).transpose(1, 2)
        scores = self._scaled_product(keys, self._heads(queries, num_queries))
        return scores.clamp_(-MAX_SCORE, MAX_SCORE).exp_()

    def _scaled_product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(torch.empty(1, 1, 1), left, right, beta=0, alpha=self.scale)

    def backward(
        self,
        gradient: torch.Tensor,
        query: torch.Tensor,
        context: torch.Tensor | None,
        kept: Kept,
        dquery: torch.Tensor,
        dcontext: torch.Tensor | None,
        found: Gradients,
    ) -> None:
        """Fill `dquery` and `dcontext`, add to `found`."""
        d_model = self.d_model
        flat = gradient.reshape(-1, d_model)
        found.output.add(torch.mm(flat.t(), kept.mixed.t()))
        found.output_bias.add(flat.sum(dim=0))
        num_keys = kept.keys_values.shape[1]
        if context is None:
            projected = torch.empty(3 * d_model, num_keys)
            queries, keys_values = projected[:d_model], projected[d_model:]
        else:
            queries, keys_values = torch.empty_like(kept.queries), torch.empty(2 * d_model, num_keys)
        num_tokens = query.shape[1] if context is None else context.shape[1]
        self._mix_backward(self._dmixed(flat, kept), kept, query.shape[1], num_tokens, queries, keys_values)
        found.query_bias.add(queries.sum(dim=1))
        if context is None or dcontext is None:
            torch.mm(projected.t(), self.projections, out=dquery.view(-1, d_model))
            found.projections.add(torch.mm(projected, query.reshape(-1, d_model)))
            return
        torch.mm(queries.t(), self.projections[:d_model], out=dquery.view(-1, d_model))
        torch.mm(keys_values.t(), self.projections[d_model:], out=dcontext.view(-1, d_model))
        of_queries = torch.mm(queries, query.reshape(-1, d_model))
        of_keys_values = torch.mm(keys_values, context.reshape(-1, d_model))
        found.projections.add(torch.cat([of_queries, of_keys_values]))

    def _dmixed(self, gradient: torch.Tensor, kept: Kept) -> torch.Tensor:
        """[D + K, g·T]: gradients of the mixture and what the softmax takes off, by the sum of weights."""
        dmixed = torch.empty(self.d_model + self.num_heads, len(gradient))
        torch.mm(self.output.t(), gradient.t(), out=dmixed[: self.d_model])
        by_place = dmixed.view(self.d_head + 1, -1)
        product = by_place[:-1] * kept.mixed.view(self.d_head, -1)
        torch.sum(product, dim=0, out=by_place[-1]).neg_()
        return by_place.div_(kept.totals.reshape(1, -1)).view(dmixed.shape)

    def _mix_backward(
        self,
        dmixed: torch.Tensor,
        kept: Kept,
        num_queries: int,
        num_tokens: int,
        dqueries: torch.Tensor,
        dkeys_values: torch.Tensor,
    ) -> None:
        """Fill gradients of queries [D, g·T] and of keys and values [2·D, g·S]."""
        d_model = self.d_model
        weights = kept.weights
        if weights is None:
            weights = self._weights(kept.queries, kept.keys_values, num_queries, num_tokens)
        dheads = self._heads(dmixed, num_queries)
        queries = self._heads(kept.queries, num_queries)
        keys = self._heads(kept.keys_values[:d_model], num_tokens)
        values = self._heads(kept.keys_values[d_model:], num_tokens)
        dscores = torch.bmm(values.transpose(1, 2), dheads).mul_(weights)
        self._heads(dqueries, num_queries).copy_(self._scaled_product(keys, dscores))
        # Right sides as plain matrices: see above.
        dkeys = self._scaled_product(dscores, queries.transpose(1, 2).contiguous())
        dvalues = torch.bmm(weights, dheads[:, :-1].transpose(1, 2).contiguous())
        self._heads(dkeys_values[:d_model], num_tokens).copy_(dkeys.transpose(1, 2))
        self._heads(dkeys_values[d_model:], num_tokens).copy_(dvalues.transpose(1, 2))
