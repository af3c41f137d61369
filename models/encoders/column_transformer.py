"""The default encoder: every column a token, Transformer blocks over the tokens of one row.

`B` rows, `C` columns of the codec, `C'` present ones, `D` width, `M` latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn import functional

from models.encoders.base import Encoded, Encoder, check_heads_divide_width, count_before
from models.errors import EncoderError
from models.features.codec import Codec
from models.features.schema import TableSchema
from models.layers.blocks import LatentAttentionBlock, SelfAttentionBlock
from models.layers.gather import gather_rows
from models.layers.packed_embedding import PackedEmbedding


class ColumnTransformerConfig(BaseModel):
    """Sizes of a column Transformer; the defaults are those of RESEARCH's prototype."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["column_transformer"] = "column_transformer"
    d_model: int = Field(
        default=32, ge=8, le=512, description="Width of every token; a multiple of num_heads."
    )
    num_layers: int = Field(default=3, ge=1, le=12)
    num_heads: int = Field(default=4, ge=1, le=32)
    num_latents: int = Field(
        default=32,
        ge=4,
        le=256,
        description="Tokens that tables wider than max_full_columns are mixed through.",
    )
    max_full_columns: int = Field(
        default=256,
        ge=1,
        le=1024,
        description="Up to this many columns, every column attends to every column.",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        check_heads_divide_width(self.d_model, self.num_heads)
        return self

    def check_schema(self, schema: TableSchema) -> None:
        """Any table with a feature fits; that it has one is the caller's question."""

    def build(self, codec: Codec, *, generator: torch.Generator) -> Encoder:
        """A freshly initialised encoder for the codec's columns.

        Raises:
            EncoderError: the codec has no columns.
        """
        if not codec.columns:
            raise EncoderError(
                "An encoder needs at least one column; the codec has none.", code="no_encoded_columns"
            )
        return ColumnTransformer(codec, self, generator=generator)


class ColumnTransformer(Encoder):
    """Value embedding plus column identity, a CLS token, pre-norm blocks, one last normalisation.

    TabTransformer's columns as tokens (arXiv 2012.06678, §2). NOTE[DIFF]: numbers are tokens too, and column
    identity is added, not concatenated: each column's values have their own embedding rows already.

    Shape: codes_index int [B, C'], codes_fraction float32 [B, C'], columns int64 [C'] -> cls float32 [B, D],
    tokens float32 [B, C', D], summary float32 [B, M, D] (the latents of wide tables) or None.

    Example:
        >>> import polars as pl
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> frame = pl.DataFrame({"a": [0.0, 1.0, 2.0]})
        >>> codec = Codec.fit(frame, schema)
        >>> encoder = ColumnTransformerConfig().build(codec, generator=torch.Generator().manual_seed(0))
        >>> codes = codec.transform(frame)
        >>> encoded = encoder(codes.index, codes.fraction, torch.tensor([0]))
        >>> encoded.cls.shape, encoded.tokens.shape
        (torch.Size([3, 32]), torch.Size([3, 1, 32]))
    """

    def __init__(self, codec: Codec, config: ColumnTransformerConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        d_model, num_heads = config.d_model, config.num_heads
        self.d_model = d_model
        self.num_categorical = codec.num_categorical
        self.is_wide = len(codec.columns) > config.max_full_columns
        self.values = PackedEmbedding(codec, d_model, generator=generator)
        std = d_model**-0.5
        self.identity = nn.Parameter(
            torch.empty(len(codec.columns), d_model).normal_(std=std, generator=generator)
        )
        self.cls = nn.Parameter(torch.empty(d_model).normal_(std=std, generator=generator))
        self.blocks = nn.ModuleList()
        self.latents: nn.Parameter | None = None
        if self.is_wide:
            self.latents = nn.Parameter(
                torch.empty(config.num_latents, d_model).normal_(std=std, generator=generator)
            )
            self.latent_norm = nn.LayerNorm(d_model)
        block = LatentAttentionBlock if self.is_wide else SelfAttentionBlock
        for _ in range(config.num_layers):
            self.blocks.append(block(d_model, num_heads, generator=generator))
        self.norm = nn.LayerNorm(d_model)

    def forward(
        self, codes_index: torch.Tensor, codes_fraction: torch.Tensor, columns: torch.Tensor
    ) -> Encoded:
        """Encode rows; shapes above."""
        tokens, latents = self._mixed(codes_index, codes_fraction, columns)
        tokens = self._finished(tokens)
        if latents is not None:
            latents = self.latent_norm(latents)
        return Encoded(cls=tokens[:, 0], tokens=tokens[:, 1:], summary=latents)

    def encode_cells(
        self,
        codes_index: torch.Tensor,
        codes_fraction: torch.Tensor,
        columns: torch.Tensor,
        cells: torch.Tensor,
    ) -> torch.Tensor:
        """As `Encoder.encode_cells`; the last feed-forward and normalisation are made for these cells only."""
        tokens, _ = self._mixed(codes_index, codes_fraction, columns)
        num_before = torch.div(cells, columns.numel(), rounding_mode="floor") + 1  # CLS, once per row
        return self._finished(gather_rows(tokens.flatten(0, 1), cells + num_before))

    def _mixed(
        self, codes_index: torch.Tensor, codes_fraction: torch.Tensor, columns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """CLS and tokens [B, 1 + C', D] up to the last block's feed-forward; latents [B, M, D] of wide tables."""
        num_rows = codes_index.shape[0]
        num_categorical = count_before(columns, self.num_categorical)
        tokens = self.cls.expand(num_rows, 1, self.d_model)
        if columns.numel():
            identity = functional.embedding(columns.to(codes_index.device), self.identity)
            values = self.values(codes_index, codes_fraction, num_categorical)
            tokens = torch.cat([tokens, values + identity], dim=1)
        *blocks, last = self.blocks
        if self.latents is None:
            for block in blocks:
                tokens = block(tokens)
            return cast(SelfAttentionBlock, last).mix(tokens), None
        latents = self.latents.expand(num_rows, *self.latents.shape)
        for block in blocks:
            tokens, latents = block(tokens, latents)
        return cast(LatentAttentionBlock, last).mix(tokens, latents)

    def _finished(self, tokens: torch.Tensor) -> torch.Tensor:
        """What `_mixed` leaves to do, for each token [..., D] by itself."""
        last = cast(SelfAttentionBlock | LatentAttentionBlock, self.blocks[-1])
        finished: torch.Tensor = self.norm(last.transform(tokens))
        return finished

    def num_context_tokens(self, columns: Sequence[int]) -> int:
        """C' column tokens, or M latents whatever the number of columns."""
        return len(columns) if self.latents is None else self.latents.shape[0]

    def freeze(self) -> Encoder:
        """Inference only from here on."""
        self.eval().requires_grad_(False)
        self.values.freeze()
        return self
