"""Copies of a frozen encoder: one whose weights may move, one with other weights. `C'` present columns, `n` rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.encoders.base import Encoder
from models.errors import BundleError
from models.features.codec import Codec, Codes
from models.layers.packed_embedding import PackedEmbedding


@dataclass(frozen=True, slots=True, eq=False)
class TunableEncoder:
    """A frozen encoder and the rows it may be tuned on.

    Shape: `index` int [n, C'], `fraction` float32 [n, C'], `columns` int64 [C'], as `Encoder.forward` takes them.
    """

    encoder: Encoder
    index: torch.Tensor
    fraction: torch.Tensor
    columns: torch.Tensor

    @classmethod
    def of(cls, codec: Codec, encoder: Encoder, codes: Codes, view: tuple[str, ...]) -> TunableEncoder:
        """The rows of `codes` without the columns whose source is in `view`."""
        absent = frozenset(view)
        present = [position for position, source in enumerate(codec.source_of) if source not in absent]
        columns = torch.tensor(present, dtype=torch.int64)
        return cls(
            encoder, codes.index.index_select(1, columns), codes.fraction.index_select(1, columns), columns
        )

    @property
    def num_learned(self) -> int:
        """How many of the view's row features come from the encoder; they come first."""
        return (self.encoder.num_context_tokens(self.columns.tolist()) + 1) * self.encoder.d_model

    def at(self, rows: npt.NDArray[np.int64]) -> TunableEncoder:
        """The rows at these positions."""
        positions = torch.from_numpy(rows)
        index, fraction = self.index.index_select(0, positions), self.fraction.index_select(0, positions)
        return TunableEncoder(self.encoder, index, fraction, self.columns)


def trainable_copy(encoder: Encoder) -> Encoder:
    """The same weights, on the CPU, ready for gradients; `encoder` stays as it is."""
    copied = copy.deepcopy(encoder).cpu()
    for module in copied.modules():
        if isinstance(module, PackedEmbedding):
            module.frozen = None  # or the table would not follow its weights
    copied.train().requires_grad_(True)
    return copied


def with_weights(encoder: Encoder, weights: Mapping[str, torch.Tensor]) -> Encoder:
    """A frozen encoder of the same architecture with `weights`, which it shares and does not copy.

    Raises:
        BundleError: names or shapes are not those of the architecture (code `head_does_not_fit`).
    """
    copied = trainable_copy(encoder)
    device = next(encoder.parameters()).device
    try:
        copied.load_state_dict(dict(weights), assign=True)
    except RuntimeError as error:
        raise BundleError(
            f"the head's {len(weights)} encoder tensors are not those of its encoder's architecture; load the encoder it "
            "is pinned to, or fit it again",
            code="head_does_not_fit",
        ) from error
    return copied.to(device).freeze()


def tuning_depth(name: str, num_blocks: int) -> int:
    """How many blocks lie between a weight and the output: 0 for what follows the last block, all for embeddings."""
    first, _, rest = name.partition(".")
    if first == "blocks":
        return num_blocks - 1 - int(rest.partition(".")[0])
    return num_blocks if first in _EMBEDDINGS else 0


_EMBEDDINGS = frozenset({"values", "identity", "cls", "latents", "numbers"})
