"""The encoder of the TabTransformer paper: categories through a Transformer, numbers normalised beside it.

`B` rows, `C` columns of the codec, `C'` present ones (`C_cat` categorical, `C_num` continuous), `D` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn import functional

from models.encoders.base import Encoded, Encoder, check_heads_divide_width, count_before
from models.errors import EncoderError
from models.features.codec import Codec
from models.features.schema import ColumnKind, TableSchema
from models.layers.blocks import FeedForward, LatentAttentionBlock, SelfAttentionBlock
from models.layers.number_embedding import NumberEmbedding

IDENTITY_SHARE = 8  # of the width, one eighth says which column it is (§2.1: ℓ = d / 8)


class TabTransformerConfig(BaseModel):
    """Sizes of a TabTransformer; the defaults are the paper's (appendix D: hidden size 32, 6 layers, 8 heads)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tab_transformer"] = "tab_transformer"
    d_model: int = Field(
        default=32, ge=8, le=512, description="Width of every token; a multiple of num_heads."
    )
    num_layers: int = Field(default=6, ge=1, le=12)
    num_heads: int = Field(default=8, ge=1, le=32)
    num_latents: int = Field(
        default=32,
        ge=4,
        le=256,
        description="Tokens that tables with more categorical columns than max_full_columns are mixed through.",
    )
    max_full_columns: int = Field(
        default=256,
        ge=1,
        le=1024,
        description="Up to this many categorical columns, each attends to every other.",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        check_heads_divide_width(self.d_model, self.num_heads)
        return self

    def check_schema(self, schema: TableSchema) -> None:
        """Refuse what the kinds of the columns rule out, before the rows are read.

        Raises:
            EncoderError: every feature is a number (`no_categorical_columns`).
        """
        encoded = schema.encoded
        if encoded and all(column.kind is ColumnKind.CONTINUOUS for column in encoded):
            raise _no_categorical_columns(len(encoded))

    def build(self, codec: Codec, *, generator: torch.Generator) -> Encoder:
        """A freshly initialised encoder for the codec's columns.

        Raises:
            EncoderError: the codec has no categorical column (`no_categorical_columns`), or none at all.
        """
        if not codec.columns:
            raise EncoderError(
                "An encoder needs at least one column; the codec has none.", code="no_encoded_columns"
            )
        if codec.num_categorical == 0:
            raise _no_categorical_columns(len(codec.columns))
        return TabTransformer(codec, self, generator=generator)


def _no_categorical_columns(num_columns: int) -> EncoderError:
    return EncoderError(
        f"A tab_transformer mixes categorical columns; all {num_columns} feature columns of the table are "
        "continuous. Choose the architecture column_transformer, which takes numbers as tokens too.",
        code="no_categorical_columns",
    )


class TabTransformer(Encoder):
    """TabTransformer (arXiv 2012.06678, §2): contextual embeddings of categories, numbers joined to them afterwards.

    Each categorical column is a token: its value's embedding beside one that says which column it is. NOTE[DIFF]: a
    CLS token stays in every view, so that the view without columns has features too. Blocks are pre-norm.

    Numbers never pass the Transformer. All present ones become one token, by a linear map and layer normalisation;
    CLS and this token, mixed by one feed-forward layer, are the row's vector. That is what the paper's MLP is given.
    NOTE[DIFF]: the paper normalises the numbers across columns, which leaves nothing of a single number and the order of
    two; here their linear map is normalised. Each number's own token, which objectives guess from and row features go
    without, is made of the row's vector and the number: objectives reach the numbers too, which the paper's did not.

    Shape: codes_index int [B, C'], codes_fraction float32 [B, C'], columns int64 [C'] -> cls float32 [B, D],
    tokens float32 [B, C', D], summary float32 [B, C_cat + 1, D] (without the 1 where no number is present; M latents
    instead of C_cat for wide tables).

    Example:
        >>> import polars as pl
        >>> from models.features.schema import ColumnSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.BOOLEAN, storage_type="boolean"),))
        >>> frame = pl.DataFrame({"a": [True, False, True]})
        >>> codec = Codec.fit(frame, schema)
        >>> encoder = TabTransformerConfig().build(codec, generator=torch.Generator().manual_seed(0))
        >>> codes = codec.transform(frame)
        >>> encoder(codes.index, codes.fraction, torch.tensor([0])).tokens.shape
        torch.Size([3, 1, 32])
    """

    # The row's vector is made of one product row per row, and of no token in views without categories.
    min_rows = 16

    def __init__(self, codec: Codec, config: TabTransformerConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        d_model = config.d_model
        d_identity = d_model // IDENTITY_SHARE
        self.d_model = d_model
        self.num_categorical = num_categorical = codec.num_categorical
        is_numeric_too = num_categorical < len(codec.columns)
        num_rows = int(codec.offsets[num_categorical]) if is_numeric_too else codec.num_embeddings
        std = d_model**-0.5
        self.values = _normal(num_rows, d_model - d_identity, std=std, generator=generator)
        self.identity = _normal(num_categorical, d_identity, std=std, generator=generator)
        self.cls = _normal(d_model, std=std, generator=generator)
        self.latents: nn.Parameter | None = None
        block: type[SelfAttentionBlock] | type[LatentAttentionBlock] = SelfAttentionBlock
        if num_categorical > config.max_full_columns:
            block = LatentAttentionBlock
            self.latents = _normal(config.num_latents, d_model, std=std, generator=generator)
            self.latent_norm = nn.LayerNorm(d_model)
        self.blocks = nn.ModuleList(
            block(d_model, config.num_heads, generator=generator) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        self.numbers: NumberEmbedding | None = None
        if is_numeric_too:
            self.numbers = NumberEmbedding(codec, d_model, generator=generator)
            self.number_norm = nn.LayerNorm(d_model)
            self.row = FeedForward(d_model, generator=generator)
            self.row_norm = nn.LayerNorm(d_model)
            self.number_token = FeedForward(d_model, generator=generator)
            self.number_token_norm = nn.LayerNorm(d_model)

    def forward(
        self, codes_index: torch.Tensor, codes_fraction: torch.Tensor, columns: torch.Tensor
    ) -> Encoded:
        """Encode rows; shapes above."""
        num_categorical = count_before(columns, self.num_categorical)
        cls, tokens, context = self._mix_categories(
            codes_index[:, :num_categorical], columns[:num_categorical]
        )
        if self.numbers is None or num_categorical == columns.numel():
            return Encoded(cls, tokens, context)
        embedded = self.numbers(
            codes_index[:, num_categorical:],
            codes_fraction[:, num_categorical:],
            columns[num_categorical:].to(codes_index.device) - self.num_categorical,
        )
        numbers = self.number_norm(embedded.sum(dim=1))
        row = cls + numbers
        row = self.row_norm(row + self.row(row))
        own = row.unsqueeze(1) + embedded
        number_tokens = self.number_token_norm(own + self.number_token(own))
        return Encoded(
            cls=row,
            tokens=torch.cat([tokens, number_tokens], dim=1),
            summary=torch.cat([context, numbers.unsqueeze(1)], dim=1),
        )

    def _mix_categories(
        self, index: torch.Tensor, columns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """CLS [B, D], tokens [B, C_cat, D] and what stands for them in row features [B, C_cat or M, D]."""
        num_rows = index.shape[0]
        tokens = self.cls.expand(num_rows, 1, self.d_model)
        if columns.numel():
            identity = functional.embedding(columns.to(index.device), self.identity).expand(num_rows, -1, -1)
            tokens = torch.cat(
                [tokens, torch.cat([identity, functional.embedding(index, self.values)], dim=2)], dim=1
            )
        if self.latents is None:
            for block in self.blocks:
                tokens = block(tokens)
            tokens = self.norm(tokens)
            return tokens[:, 0], tokens[:, 1:], tokens[:, 1:]
        latents = self.latents.expand(num_rows, *self.latents.shape)
        for block in self.blocks:
            tokens, latents = block(tokens, latents)
        tokens = self.norm(tokens)
        return tokens[:, 0], tokens[:, 1:], self.latent_norm(latents)

    def num_context_tokens(self, columns: Sequence[int]) -> int:
        """One per categorical column (M latents for wide tables) and one for all numbers."""
        num_categorical = sum(1 for position in columns if position < self.num_categorical)
        num_mixed = num_categorical if self.latents is None else self.latents.shape[0]
        return num_mixed + (1 if num_categorical < len(columns) else 0)

    def freeze(self) -> Encoder:
        """Inference only from here on."""
        self.eval().requires_grad_(False)
        return self


def _normal(*shape: int, std: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape).normal_(std=std, generator=generator))
