"""What a trained encoder guesses for a column it cannot see: the outputs of masked columns, kept for prediction.

`B` rows, `C'` present columns, `D` width, `K` classes of a column.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from models.encoders.base import Encoder
from models.encoders.padded_pass import chunk_rows, encode_padded
from models.features.codec import Codec, Codes, SpecialCode
from models.layers.column_outputs import ColumnOutputs
from models.layers.linear import PAD, padded_product


class ColumnGuesses:
    """Logits of hidden columns under a view, bitwise the same for a row alone and in any company.

    Shape: codes of B rows -> float32 [B, K] per hidden column: missing, unknown, then its values.

    Example:
        >>> import polars as pl
        >>> from models.encoders import DEFAULT
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> frame = pl.DataFrame({"a": [0.0, 1.0, 2.0]})
        >>> codec, generator = Codec.fit(frame, schema), torch.Generator().manual_seed(0)
        >>> encoder = DEFAULT.build(codec, generator=generator).freeze()
        >>> guesses = ColumnGuesses(codec, encoder, ColumnOutputs(codec, encoder.d_model, generator=generator))
        >>> guesses.compute(codec.transform(frame), (), ("a",))[0].shape
        torch.Size([3, 5])
    """

    def __init__(self, codec: Codec, encoder: Encoder, outputs: ColumnOutputs) -> None:
        self.codec = codec
        self.encoder = encoder
        self.outputs = outputs
        self._products: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def num_classes(self, column: str) -> int:
        """K of a column of the codec."""
        return len(self.outputs.product_of(self.codec.names.index(column))[1])

    @torch.no_grad()
    def compute(self, codes: Codes, view: Sequence[str], hidden: Sequence[str]) -> list[torch.Tensor]:
        """Logits of each of `hidden` from the columns that the view leaves and that are not of its own source.

        The hidden columns are guessed one by one, in passes over repeated rows: none is hidden from another.
        `view` names absent source columns, none of them that of a hidden column.
        """
        absent = frozenset(view)
        present = [i for i, source in enumerate(self.codec.source_of) if source not in absent]
        columns = torch.tensor(present, dtype=torch.int64)
        positions = [self.codec.names.index(name) for name in hidden]
        found = [torch.empty(len(codes), len(self._product(position)[1])) for position in positions]
        chunk = max(1, chunk_rows(self.encoder, len(present)) // max(len(hidden), 1))
        for start in range(0, len(codes), chunk):
            rows = slice(start, min(start + chunk, len(codes)))
            part = codes.select_rows(rows)
            tokens = self._tokens(part, columns, positions)
            for number, position in enumerate(positions):
                own = tokens[number * len(part) : (number + 1) * len(part), present.index(position)]
                weight, bias = self._product(position)
                found[number][rows] = padded_product(own.contiguous(), weight, bias)
        return [logits[:, : self.num_classes(name)] for logits, name in zip(found, hidden, strict=True)]

    def _tokens(self, codes: Codes, columns: torch.Tensor, hidden: Sequence[int]) -> torch.Tensor:
        """Tokens float32 [H * B, C', D]: the rows once for each of the H hidden columns."""
        index = codes.index.index_select(1, columns)
        fraction = codes.fraction.index_select(1, columns)
        masked = (self.codec.offsets[columns] + int(SpecialCode.MASKED)).to(index.dtype)
        sources = self.codec.source_index[columns]
        masks = [sources == self.codec.source_index[position] for position in hidden]
        shown = torch.cat([torch.where(mask, masked, index) for mask in masks])
        fractions = torch.cat([fraction.masked_fill(mask, 0.0) for mask in masks])
        return encode_padded(self.encoder, shown, fractions, columns).tokens

    def _product(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of a column, outputs padded to a multiple of 16."""
        found = self._products.get(position)
        if found is None:
            weight, bias = self.outputs.product_of(position)
            missing = -len(bias) % PAD
            found = functional.pad(weight, (0, 0, 0, missing)), functional.pad(bias, (0, missing))
            self._products[position] = found
        return found
