"""Linear layers initialised from a generator that is passed in, and products whose rows do not depend on company."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

PAD = 16
"""Products padded to multiples of this in rows and outputs give a row the same bits in any company: a smaller product
takes other kernels with other summation orders (measured, RESEARCH)."""

MAX_SHARED_SUM = 512
"""Sums of more terms than this are left to one thread. Several threads share the terms of a long sum among themselves,
depending on the number of rows: measured from 1,000 terms on with 2 threads, 1,500 with 3 and 4, never up to 600."""


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


def padded_product(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`features` [B, F] times `weight` [O, F] plus `bias` [O], rows padded to a multiple of 16; O must be one."""
    num_rows = len(features)
    missing = -num_rows % PAD
    if missing:
        features = functional.pad(features, (0, 0, 0, missing))
    with unshared_sums(features.shape[1]):
        return functional.linear(features, weight, bias)[:num_rows]


@contextmanager
def unshared_sums(num_terms: int) -> Iterator[None]:
    """Run products whose sums have up to `num_terms` terms so that a sum is never shared by threads; see above.

    The number of threads is the calling thread's own, so others are not slowed down.
    """
    num_threads = torch.get_num_threads()
    if num_terms <= MAX_SHARED_SUM or num_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
