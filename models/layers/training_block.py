"""The two halves of a pre-norm block, each forward and backward as one operation, for training on the CPU.

`B` rows, `T` tokens, `D` width, `K` heads, `F` width of the feed-forward.

Attention takes rows group by group, so that what a group makes is still in the cache when it is read. Neither half pays
for dozens of recorded operations per layer, which is what small batches spend most of their time on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from models.layers.training_attention import AttentionCore, Gradients, Kept, Plan, Sum, Weights

EPSILON = 1e-5  # of nn.LayerNorm


class FeedForwardWeights(NamedTuple):
    """As `nn.Linear` has them: [F, D], [F], [D, F], [D]."""

    expand: torch.Tensor
    expand_bias: torch.Tensor
    contract: torch.Tensor
    contract_bias: torch.Tensor


class NormWeights(NamedTuple):
    """Of a normalisation before a half, [D] both."""

    weight: torch.Tensor
    bias: torch.Tensor


def run_attention(tokens: torch.Tensor, norm: NormWeights, weights: Weights, num_heads: int) -> torch.Tensor:
    """Tokens plus what attention among their row's makes of them, normalised; differentiable once.

    Shape: float32 [B, T, D] -> float32 [B, T, D].
    """
    mixed: torch.Tensor = _AttentionHalf.apply(tokens, num_heads, *norm, *weights)  # type: ignore[no-untyped-call]
    return mixed


def run_feedforward(tokens: torch.Tensor, norm: NormWeights, weights: FeedForwardWeights) -> torch.Tensor:
    """Tokens plus what two layers with a GELU between them make of each, normalised; differentiable once.

    Shape: float32 [..., D] -> float32 [..., D].
    """
    flat = tokens.reshape(-1, tokens.shape[-1])
    transformed: torch.Tensor = _FeedForwardHalf.apply(flat, *norm, *weights)  # type: ignore[no-untyped-call]
    return transformed.view(tokens.shape)


class _Normed(NamedTuple):
    """What a normalisation gives and keeps."""

    output: torch.Tensor
    mean: torch.Tensor
    rstd: torch.Tensor


class _AttentionHalf(Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, num_heads: int, *tensors: torch.Tensor) -> torch.Tensor:
        norm, weights = NormWeights(*tensors[:2]), Weights(*tensors[2:])
        num_rows, num_tokens, _ = tokens.shape
        core = AttentionCore(weights, num_heads)
        plan = Plan.of(num_rows, num_heads, num_tokens, num_tokens)
        output = torch.empty(tokens.shape)
        ctx.kept = []
        for start in range(0, num_rows, plan.group):
            rows = slice(start, start + plan.group)
            normed = _normalise(tokens[rows], norm)
            kept = core.forward(normed.output, None, output[rows])
            ctx.kept.append((normed, plan.keep(kept)))
        ctx.core, ctx.plan = core, plan
        ctx.save_for_backward(tokens, *norm)
        return output.add_(tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        if ctx.kept is None:
            raise RuntimeError(
                "The way back through this layer was taken before; it keeps nothing for another."
            )
        tokens, norm = ctx.saved_tensors[0], NormWeights(*ctx.saved_tensors[1:])
        core: AttentionCore = ctx.core
        groups: list[tuple[_Normed, Kept]] = ctx.kept
        found, dweight, dbias = Gradients(), Sum(), Sum()
        dtokens = torch.empty(tokens.shape)
        for number, (normed, kept) in enumerate(groups):
            rows = ctx.plan.rows(number)
            dnormed = torch.empty(normed.output.shape)
            core.backward(gradient[rows], normed.output, None, kept, dnormed, None, found)
            dnorm = _normalise_backward(dnormed, tokens[rows], normed, norm)
            torch.add(dnorm[0], gradient[rows], out=dtokens[rows])
            dweight.add(dnorm[1])
            dbias.add(dnorm[2])
        ctx.kept = None
        return dtokens, None, dweight.over(norm.weight), dbias.over(norm.bias), *core.as_given(found)


class _FeedForwardHalf(Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
        norm, weights = NormWeights(*tensors[:2]), FeedForwardWeights(*tensors[2:])
        normed = _normalise(tokens, norm)
        expanded = torch.addmm(weights.expand_bias, normed.output, weights.expand.t())
        activated = functional.gelu(expanded)
        output = torch.addmm(weights.contract_bias, activated, weights.contract.t())
        ctx.save_for_backward(tokens, *norm, weights.expand, weights.contract, *normed, expanded, activated)
        return output.add_(tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        tokens, weight, bias, expand, contract, output, mean, rstd, expanded, activated = ctx.saved_tensors
        gradient = gradient.contiguous()
        dcontract = torch.mm(gradient.t(), activated)
        dexpanded = torch.ops.aten.gelu_backward(torch.mm(gradient, contract), expanded)
        dexpand = torch.mm(dexpanded.t(), output)
        dtokens, dweight, dbias = _normalise_backward(
            torch.mm(dexpanded, expand), tokens, _Normed(output, mean, rstd), NormWeights(weight, bias)
        )
        return (
            dtokens.add_(gradient),
            dweight,
            dbias,
            dexpand,
            dexpanded.sum(dim=0),
            dcontract,
            gradient.sum(dim=0),
        )


def _normalise(tokens: torch.Tensor, norm: NormWeights) -> _Normed:
    return _Normed(*torch.native_layer_norm(tokens, norm.weight.shape, *norm, EPSILON))


def _normalise_backward(
    gradient: torch.Tensor, tokens: torch.Tensor, normed: _Normed, norm: NormWeights
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of the tokens, the weight and the bias."""
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.ops.aten.native_layer_norm_backward(
        gradient, tokens, norm.weight.shape, normed.mean, normed.rstd, *norm, [True, True, True]
    )
    return found
