"""One pass of a frozen encoder whose bits do not depend on how many rows share it."""

from __future__ import annotations

import torch

from models.encoders.base import Encoded, Encoder
from models.layers.linear import unshared_sums

# Rows go through the encoder in chunks of about this many tokens: large enough for the matrix products, small enough
# for the caches (measured, 17 columns, d=32: 4,096 to 16,384 tokens within 5 % of each other).
CHUNK_TOKENS = 8_192
# Below this (and `Encoder.min_rows`), the matrix kernels take other paths for one row than for many and the last bits
# change (DESIGN §5 asks for 4 tokens; measured equal from there on, 1 to 4 threads).
MIN_CHUNK_TOKENS = 16


def chunk_rows(encoder: Encoder, num_columns: int) -> int:
    """Rows per pass."""
    return max(encoder.min_rows, CHUNK_TOKENS // (num_columns + 1))


def encode_padded(
    encoder: Encoder, index: torch.Tensor, fraction: torch.Tensor, columns: torch.Tensor
) -> Encoded:
    """`encoder(index, fraction, columns)` on its device, the last row repeated where there are too few; on the CPU.

    Shape: index int [B, C'], fraction float32 [B, C'], columns int64 [C'], B >= 1.
    """
    num_rows = len(index)
    num_padded = max(num_rows, encoder.min_rows, -(-MIN_CHUNK_TOKENS // (columns.numel() + 1)))
    if num_padded > num_rows:
        repeated = torch.arange(num_padded).clamp_(max=num_rows - 1)
        index, fraction = index.index_select(0, repeated), fraction.index_select(0, repeated)
    device = next(encoder.parameters()).device
    with unshared_sums(encoder.longest_sum):
        encoded = encoder(index.to(device), fraction.to(device), columns.to(device))
    summary = None if encoded.summary is None else encoded.summary[:num_rows].cpu()
    return Encoded(encoded.cls[:num_rows].cpu(), encoded.tokens[:num_rows].cpu(), summary)
