"""Linear layers initialised from a generator that is passed in."""

from __future__ import annotations

import torch
from torch import nn


def make_linear(d_in: int, d_out: int, *, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights of variance 1 / d_in and a zero bias.

    `skip_init` because the default initialisation would draw from the global generator.
    """
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, d_in, d_out)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.normal_(std=d_in**-0.5, generator=generator)
        layer.bias.zero_()
    return layer
