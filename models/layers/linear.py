"""Linear layers initialised from a generator that is passed in."""

from __future__ import annotations

import torch
from torch import nn


class _BareLinear(nn.Linear):
    """Allocated and left alone: the default initialisation would draw from the global generator."""

    def reset_parameters(self) -> None:
        """Nothing; `make_linear` fills the parameters. (`nn.utils.skip_init` does the same through the meta device,
        which imports sympy and torch.fx: seconds before the first prediction of a process.)"""


def make_linear(d_in: int, d_out: int, *, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights of variance 1 / d_in and a zero bias."""
    layer = _BareLinear(d_in, d_out)
    with torch.no_grad():
        layer.weight.normal_(std=d_in**-0.5, generator=generator)
        layer.bias.zero_()
    return layer
