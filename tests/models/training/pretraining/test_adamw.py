"""The flat AdamW: the paper's update, clipping, and state that continues bit for bit."""

from __future__ import annotations

import math

import torch
from torch import nn

from models.training.adamw import BETA1, BETA2, EPSILON, MAX_GRADIENT_NORM, WEIGHT_DECAY, FlatAdamW


def test__adamw__three_steps__equal_the_papers_formula() -> None:
    values = [0.5, -2.0, 3.0]
    decayed, other = nn.Parameter(torch.tensor(values[:2])), nn.Parameter(torch.tensor(values[2:]))
    optimizer = FlatAdamW([decayed], [other])
    mean, square = [0.0] * 3, [0.0] * 3
    for step in range(1, 4):
        gradients = [0.3 * step, -0.2, 0.1]
        (decayed @ torch.tensor(gradients[:2]) + other.sum() * gradients[2]).backward()  # type: ignore[no-untyped-call]
        optimizer.step(0.05)
        norm = math.hypot(*gradients)
        for i, gradient in enumerate(gradients):
            clipped = gradient * min(1.0, MAX_GRADIENT_NORM / norm)
            mean[i] = BETA1 * mean[i] + (1 - BETA1) * clipped
            square[i] = BETA2 * square[i] + (1 - BETA2) * clipped**2
            values[i] *= 1 - 0.05 * WEIGHT_DECAY if i < 2 else 1.0
            denominator = math.sqrt(square[i] / (1 - BETA2**step)) + EPSILON
            values[i] -= 0.05 * mean[i] / (1 - BETA1**step) / denominator
    torch.testing.assert_close(
        torch.cat([decayed, other]).detach(), torch.tensor(values), atol=1e-5, rtol=1e-5
    )


def _run(layer: nn.Linear, optimizer: FlatAdamW, steps: range) -> None:
    for step in steps:
        (layer(torch.full((2, 4), 0.1 * step)) ** 2).sum().backward()
        optimizer.step(0.01)


def _layer() -> tuple[nn.Linear, FlatAdamW]:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(12).view(3, 4) / 10)
        layer.bias.zero_()
    return layer, FlatAdamW([layer.get_parameter("weight")], [layer.get_parameter("bias")])


def test__adamw__state_moved_to_a_new_one__continues_with_the_same_bits() -> None:
    whole, optimizer = _layer()
    _run(whole, optimizer, range(10))
    first, before = _layer()
    _run(first, before, range(4))
    second, after = _layer()
    second.load_state_dict(first.state_dict())
    after.load(before.export(), num_steps=4)
    _run(second, after, range(4, 10))
    assert torch.equal(whole.weight, second.weight)
    assert torch.equal(whole.bias, second.bias)
