"""A pre-norm block of self-attention, forward and backward as one operation, for training on the CPU.

`B` rows, `T` tokens, `D` width, `K` heads, `F` width of the feed-forward.

Rows go through the whole block group by group, so that what a group makes is still in the cache when it is read, and
small batches do not pay for dozens of recorded operations per layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from models.layers.training_attention import AttentionCore, Gradients, Kept, Plan, Sum, Weights

EPSILON = 1e-5  # of nn.LayerNorm


class BlockWeights(NamedTuple):
    """Of one block: normalisations [D], attention as in `Weights`, feed-forward [F, D], [F], [D, F], [D]."""

    attention_norm: torch.Tensor
    attention_norm_bias: torch.Tensor
    attention: Weights
    feedforward_norm: torch.Tensor
    feedforward_norm_bias: torch.Tensor
    expand: torch.Tensor
    expand_bias: torch.Tensor
    contract: torch.Tensor
    contract_bias: torch.Tensor


def run_block(tokens: torch.Tensor, weights: BlockWeights, num_heads: int) -> torch.Tensor:
    """`SelfAttentionBlock` of the same weights, equal up to rounding; differentiable once.

    Shape: float32 [B, T, D] -> float32 [B, T, D].
    """
    flat = (*weights[:2], *weights.attention, *weights[3:])
    mixed: torch.Tensor = _Block.apply(tokens, num_heads, *flat)  # type: ignore[no-untyped-call]
    return mixed


class _KeptGroup(NamedTuple):
    """What a group of rows keeps for the way back; tokens as [g·T, D]."""

    first: _Normed
    attention: Kept
    middle: torch.Tensor
    second: _Normed
    expanded: torch.Tensor  # [g·T, F], before the GELU


class _Normed(NamedTuple):
    """What a normalisation gives and keeps."""

    output: torch.Tensor
    mean: torch.Tensor
    rstd: torch.Tensor


class _Block(Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, num_heads: int, *tensors: torch.Tensor) -> torch.Tensor:
        weights = BlockWeights(tensors[0], tensors[1], Weights(*tensors[2:8]), *tensors[8:])
        num_rows, num_tokens, _ = tokens.shape
        plan = Plan.of(num_rows, num_heads, num_tokens, num_tokens)
        run = _BlockRun(weights, num_heads)
        output = torch.empty(tokens.shape)
        ctx.kept = []
        for start in range(0, num_rows, plan.group):
            rows = slice(start, start + plan.group)
            kept = run.forward(tokens[rows], output[rows])
            ctx.kept.append(kept._replace(attention=plan.keep(kept.attention)))
        ctx.run, ctx.plan = run, plan
        ctx.save_for_backward(tokens)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        if ctx.kept is None:
            raise RuntimeError(
                "The way back through this layer was taken before; it keeps nothing for another."
            )
        (tokens,) = ctx.saved_tensors
        run: _BlockRun = ctx.run
        dtokens = torch.empty(tokens.shape)
        for number, kept in enumerate(ctx.kept):
            rows = ctx.plan.rows(number)
            run.backward(gradient[rows], tokens[rows], kept, dtokens[rows])
        ctx.kept = None
        return dtokens, None, *run.gradients()


class _BlockRun:
    """Forward and backward of groups of rows, and the sums of the weights' gradients."""

    def __init__(self, weights: BlockWeights, num_heads: int) -> None:
        self.weights = weights
        self.core = AttentionCore(weights.attention, num_heads)
        self.found = Gradients()
        self.sums = [Sum() for _ in range(8)]  # of the other weights, in their order

    def forward(self, tokens: torch.Tensor, output: torch.Tensor) -> _KeptGroup:
        """Fill `output`; both [g, T, D]."""
        weights = self.weights
        first = _normalise(tokens, weights.attention_norm, weights.attention_norm_bias)
        middle = torch.empty(tokens.shape)
        attention = self.core.forward(first.output, None, middle)
        middle += tokens
        second = _normalise(middle, weights.feedforward_norm, weights.feedforward_norm_bias)
        flat = second.output.view(-1, tokens.shape[2])
        expanded = torch.addmm(weights.expand_bias, flat, weights.expand.t())
        out = output.view(flat.shape)
        torch.addmm(weights.contract_bias, functional.gelu(expanded), weights.contract.t(), out=out)
        out += middle.view(flat.shape)
        return _KeptGroup(first, attention, middle, second, expanded)

    def backward(
        self, gradient: torch.Tensor, tokens: torch.Tensor, kept: _KeptGroup, dtokens: torch.Tensor
    ) -> None:
        """Fill `dtokens`; all [g, T, D]."""
        weights = self.weights
        first_norm, first_bias, second_norm, second_bias, expand, expand_bias, contract, contract_bias = (
            self.sums
        )
        flat = gradient.reshape(-1, gradient.shape[2])
        contract.add(torch.mm(flat.t(), functional.gelu(kept.expanded)))
        contract_bias.add(flat.sum(dim=0))
        dexpanded = torch.mm(flat, weights.contract)
        dexpanded = torch.ops.aten.gelu_backward(dexpanded, kept.expanded)
        normed = kept.second.output.view(flat.shape)
        expand.add(torch.mm(dexpanded.t(), normed))
        expand_bias.add(dexpanded.sum(dim=0))
        dnormed = torch.mm(dexpanded, weights.expand).view(gradient.shape)
        dmiddle = _normalise_backward(
            dnormed, kept.middle, kept.second, weights[3:5], (second_norm, second_bias)
        )
        dmiddle += gradient
        self.core.backward(dmiddle, kept.first.output, None, kept.attention, dnormed, None, self.found)
        dfirst = _normalise_backward(dnormed, tokens, kept.first, weights[:2], (first_norm, first_bias))
        torch.add(dfirst, dmiddle, out=dtokens)

    def gradients(self) -> tuple[torch.Tensor, ...]:
        """Of all weights, in their order."""
        weights = self.weights
        others = (*weights[:2], *weights[3:])
        found = [total.over(weight) for total, weight in zip(self.sums, others, strict=True)]
        return *found[:2], *self.core.as_given(self.found), *found[2:]


def _normalise(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> _Normed:
    return _Normed(*torch.native_layer_norm(tokens, weight.shape, weight, bias, EPSILON))


def _normalise_backward(
    gradient: torch.Tensor,
    tokens: torch.Tensor,
    normed: _Normed,
    weights: tuple[Any, ...],
    sums: tuple[Sum, Sum],
) -> torch.Tensor:
    """Gradient of the tokens; those of the weight and the bias go to `sums`."""
    weight, bias = weights
    dtokens, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
        gradient, tokens, weight.shape, normed.mean, normed.rstd, weight, bias, [True, True, True]
    )
    sums[0].add(dweight)
    sums[1].add(dbias)
    found: torch.Tensor = dtokens
    return found
