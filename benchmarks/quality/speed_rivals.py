"""Training steps of other implementations, of the same shape as ours. Packages are optional: `Unavailable` says which.

`B` rows of a batch, `C` columns, `D` width, `T` = C + 1 tokens.
"""

from __future__ import annotations

import importlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import polars as pl
import torch
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.torchvision_operators import declare_missing
from models.features.codec import CategoricalColumn, Codec, Codes

LEARNING_RATE = 1e-3


class Unavailable(Exception):
    """A package that is not installed here, or that this table is not for."""


@dataclass(frozen=True)
class Shape:
    """Sizes all implementations share; the feed-forward is twice as wide as the tokens, the dropout 0."""

    name: str
    d_model: int
    num_layers: int
    num_heads: int
    batch_rows: int

    def fitted_to(self, num_columns: int, max_tokens: int) -> Shape:
        """Fewer rows a batch where that many would have more tokens."""
        return replace(self, batch_rows=min(self.batch_rows, max_tokens // (num_columns + 1)))


@dataclass(frozen=True, eq=False)
class SpeedTable:
    """A table as frame (numbers Float64, categories String) and as codes."""

    name: str
    frame: pl.DataFrame
    codec: Codec
    codes: Codes

    @property
    def categories(self) -> torch.Tensor:
        """Class numbers of the categorical columns from 0, int64 [N, C_cat]: missing, unknown, then values."""
        return self.codes.local()[:, : self.codec.num_categorical] - 2

    @property
    def numbers(self) -> torch.Tensor:
        """Standardised numbers, missing ones 0, float32 [N, C_num]."""
        names = [column.name for column in self.codec.continuous]
        if not names:
            return torch.empty(len(self.codes), 0)
        values = np.array(self.frame.select(names).to_numpy(), dtype=np.float32)
        values = (values - np.nanmean(values, axis=0)) / (np.nanstd(values, axis=0) + 1e-6)
        return torch.from_numpy(np.nan_to_num(values))

    @property
    def cardinalities(self) -> list[int]:
        """Classes of every column: missing, unknown, then values or bins."""
        return [column.num_values + 2 for column in self.codec.columns]


class Step(ABC):
    """One training step after another over the rows of a table."""

    about: ClassVar[str]

    @abstractmethod
    def take(self) -> None:
        """One step on one batch: forward, backward, optimiser."""


class _PlainEncoder(nn.Module):
    """`nn.TransformerEncoder` over one embedding module per column, with one output layer per column."""

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        super().__init__()
        self.num_categorical = table.codec.num_categorical
        d_model, sizes = shape.d_model, table.cardinalities
        self.categories = nn.ModuleList(
            nn.Embedding(size + 1, d_model) for size in sizes[: self.num_categorical]
        )
        self.numbers = nn.ModuleList(nn.Linear(1, d_model) for _ in sizes[self.num_categorical :])
        self.masked = nn.Parameter(torch.zeros(len(sizes), d_model))
        self.cls = nn.Parameter(torch.zeros(d_model))
        layer = nn.TransformerEncoderLayer(
            d_model,
            shape.num_heads,
            2 * d_model,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer, shape.num_layers, norm=nn.LayerNorm(d_model), enable_nested_tensor=False
        )
        self.outputs = nn.ModuleList(nn.Linear(d_model, size) for size in sizes)

    def forward(
        self, categories: torch.Tensor, numbers: torch.Tensor, classes: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Mean cross-entropy of the masked cells.

        Shape: categories int64 [B, C_cat], numbers float32 [B, C_num], classes int64 [B, C], mask bool [B, C].
        """
        columns = [layer(categories[:, place]) for place, layer in enumerate(self.categories)]
        columns += [layer(numbers[:, place : place + 1]) for place, layer in enumerate(self.numbers)]
        tokens = torch.where(mask.unsqueeze(-1), self.masked, torch.stack(columns, dim=1))
        cls = self.cls.expand(len(tokens), 1, -1)
        hidden = self.encoder(torch.cat([cls, tokens], dim=1))
        losses = []
        for place, layer in enumerate(self.outputs):
            rows = mask[:, place].nonzero().squeeze(1)
            logits = layer(hidden[rows, place + 1])
            losses.append(functional.cross_entropy(logits, classes[rows, place], reduction="sum"))
        return torch.stack(losses).sum() / mask.sum()


class PlainStep(Step):
    """Masked columns on `nn.TransformerEncoder`, written the straightforward way."""

    about = (
        "nn.TransformerEncoder (norm_first, GELU, batch_first) with an embedding and an output layer per column, "
        "masked cells guessed, torch.optim.AdamW"
    )

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        torch.manual_seed(0)
        self.model = _PlainEncoder(table, shape)
        self.batches = _Batches(table, shape)
        self.classes = table.codes.local() - 2
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE)

    def take(self) -> None:
        """One step."""
        rows = self.batches.next_rows()
        categories, numbers = self.batches.categories[rows], self.batches.numbers[rows]
        rates = torch.rand(len(rows), 1) * 0.6 + 0.1
        mask = torch.rand(len(rows), self.classes.shape[1]) < rates
        self.optimizer.zero_grad()
        self.model(categories, numbers, self.classes[rows], mask).backward()
        self.optimizer.step()


class CompiledPlainStep(PlainStep):
    """`PlainStep` with its encoder through `torch.compile`: what a compiler makes of the same arithmetic."""

    about = "plain, its encoder through torch.compile (needs a C++ compiler; compiling is not timed)"

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        if shutil.which("g++") is None:
            raise Unavailable("a C++ compiler (g++) for torch.compile is missing")
        super().__init__(table, shape)
        self.model.encoder = cast(nn.TransformerEncoder, torch.compile(self.model.encoder, dynamic=False))


class _Batches:
    """Shuffled rows, again and again."""

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        self.categories, self.numbers = table.categories.clamp_(min=0), table.numbers
        self.batch_rows = shape.batch_rows
        self.order = torch.randperm(len(table.codes))
        self.start = 0

    def next_rows(self) -> torch.Tensor:
        """Row numbers int64 [B]."""
        if self.start + self.batch_rows > len(self.order):
            self.order, self.start = torch.randperm(len(self.order)), 0
        self.start += self.batch_rows
        return self.order[self.start - self.batch_rows : self.start]


class _SupervisedStep(Step):
    """A package's encoder trained on a made-up binary label: forward, backward, AdamW."""

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        torch.manual_seed(0)
        self.model = self.build(table, shape)
        self.batches = _Batches(table, shape)
        self.labels = torch.rand(len(table.codes)).round()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE)

    @abstractmethod
    def build(self, table: SpeedTable, shape: Shape) -> nn.Module:
        """The model; its forward takes categories and numbers."""

    def logits(self, categories: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Of a batch, float32 [B, 1]."""
        found: torch.Tensor = self.model(categories, numbers)
        return found

    def take(self) -> None:
        """One step."""
        rows = self.batches.next_rows()
        logits = self.logits(self.batches.categories[rows], self.batches.numbers[rows])
        loss = functional.binary_cross_entropy_with_logits(logits.squeeze(-1), self.labels[rows])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


class FTTransformerStep(_SupervisedStep):
    """The FT-Transformer of its authors (arXiv 2106.11959)."""

    about = (
        "rtdl_revisiting_models.FTTransformer, supervised, ReGLU feed-forward of factor 4/3 (as many weights as a "
        "plain one of factor 2)"
    )

    def build(self, table: SpeedTable, shape: Shape) -> nn.Module:
        """The model."""
        package = _package("rtdl_revisiting_models")
        num_categorical = table.codec.num_categorical
        model: nn.Module = package.FTTransformer(
            n_cont_features=len(table.cardinalities) - num_categorical,
            cat_cardinalities=table.cardinalities[:num_categorical],
            d_out=1,
            n_blocks=shape.num_layers,
            d_block=shape.d_model,
            attention_n_heads=shape.num_heads,
            attention_dropout=0.0,
            ffn_d_hidden_multiplier=4 / 3,
            ffn_dropout=0.0,
            residual_dropout=0.0,
        )
        return model

    def logits(self, categories: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Numbers first; a kind that is not there is None."""
        found: torch.Tensor = self.model(
            numbers if numbers.shape[1] else None, categories if categories.shape[1] else None
        )
        return found


class TabTransformerPytorchStep(_SupervisedStep):
    """lucidrains' implementation over all columns."""

    about = (
        "tab_transformer_pytorch.FTTransformer, supervised, num_residual_streams=1, its own GEGLU feed-forward "
        "of factor 4"
    )

    def build(self, table: SpeedTable, shape: Shape) -> nn.Module:
        """The model."""
        package = _package("tab_transformer_pytorch")
        num_categorical = table.codec.num_categorical
        model: nn.Module = package.FTTransformer(
            categories=table.cardinalities[:num_categorical],
            num_continuous=len(table.cardinalities) - num_categorical,
            dim=shape.d_model,
            depth=shape.num_layers,
            heads=shape.num_heads,
            dim_head=shape.d_model // shape.num_heads,
            num_residual_streams=1,
        )
        return model


class WidedeepStep(Step):
    """Contrastive and denoising pretraining of `pytorch-widedeep` on its TabTransformer."""

    about = (
        "pytorch_widedeep ContrastiveDenoisingTrainer on its TabTransformer, feed-forward of factor 2, its own losses "
        "and dropout (0.2 of attention, 0.1 of the feed-forward)"
    )
    dropout: ClassVar[dict[str, float]] = {}

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        declare_missing()
        torch.manual_seed(0)
        categorical = [column.name for column in table.codec.columns if isinstance(column, CategoricalColumn)]
        continuous = [column.name for column in table.codec.continuous]
        frame = table.frame.with_columns(
            pl.col(categorical).fill_null("missing"), pl.col(continuous).fill_null(0.0)
        ).to_pandas()
        preprocessor = _package("pytorch_widedeep.preprocessing").TabPreprocessor(
            cat_embed_cols=categorical or None,
            continuous_cols=continuous or None,
            cols_to_scale=continuous or None,
            with_attention=True,
        )
        self.rows = preprocessor.fit_transform(frame)
        model = _package("pytorch_widedeep.models").TabTransformer(
            column_idx=preprocessor.column_idx,
            cat_embed_input=preprocessor.cat_embed_input if categorical else None,
            continuous_cols=continuous or None,
            embed_continuous_method="standard" if continuous else None,
            input_dim=shape.d_model,
            n_heads=shape.num_heads,
            n_blocks=shape.num_layers,
            ff_factor=2,
            **self.dropout,
        )
        self.trainer: Any = _package("pytorch_widedeep.self_supervised_training").ContrastiveDenoisingTrainer(
            model=model, preprocessor=preprocessor, verbose=0, num_workers=0
        )
        self.batch_rows = shape.batch_rows
        self.start = 0

    def take(self) -> None:
        """One epoch over the rows of one batch."""
        if self.start + self.batch_rows > len(self.rows):
            self.start = 0
        rows = self.rows[self.start : self.start + self.batch_rows]
        self.start += self.batch_rows
        self.trainer.pretrain(rows, n_epochs=1, batch_size=self.batch_rows)


class WidedeepLeanStep(WidedeepStep):
    """The same without dropout, as the others here run."""

    about = "the same without dropout"
    dropout: ClassVar[dict[str, float]] = {"attn_dropout": 0.0, "ff_dropout": 0.0}


def _package(name: str) -> Any:
    """Raises: Unavailable."""
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise Unavailable(
            f"the package {name.split('.')[0]} cannot be imported here ({problem})"
        ) from problem


RIVALS: dict[str, Callable[[SpeedTable, Shape], Step]] = {
    "plain": PlainStep,
    "plain-compiled": CompiledPlainStep,
    "ft-transformer": FTTransformerStep,
    "tab-transformer-pytorch": TabTransformerPytorchStep,
    "widedeep": WidedeepStep,
    "widedeep-without-dropout": WidedeepLeanStep,
}
