"""Layers of the TabTransformer paper (arXiv 2012.06678, §2 and appendix B.1), and the two networks made of them.

Shape letters: `b` rows, `c` numbers, `m` categorical columns, `d` width of an embedding, `l` width of the network's
input, `o` outputs. Layers draw their initial weights from the global generator: `seeded_torch` stands around.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.neural_rows import Rows, RowShape

WIDTH = 32
IDENTITY_SHARE = 8  # 1/8 of an embedding says which column it is (§2, "Column embedding")
NUM_LAYERS, NUM_HEADS, EXPANSION = 6, 8, 4
HIDDEN = (4, 2)  # times the input
MAX_HIDDEN = (1_280, 640)
"""NOTE[DIFF]: hidden layers end there, which matters from l = 320 on: 4l of jasmine's 136 columns is 17,440 units."""
DROPOUT = 0.1  # one value of the paper's search space
# Attention weights kept for the backward pass grow with m²; a plain product is 1.4 times as fast while they are small.
MAX_PLAIN_COLUMNS = 64


class CategoryEmbedding(nn.Module):
    """One table of vectors per column, a share of each the column's own.

    Shape: codes int64 [b, m] -> float32 [b, m, d].
    """

    offsets: torch.Tensor

    def __init__(self, code_sizes: tuple[int, ...], width: int, d_identity: int) -> None:
        super().__init__()
        starts = torch.tensor([0, *code_sizes], dtype=torch.int64).cumsum(0)
        self.register_buffer("offsets", starts[:-1], persistent=False)
        std = width**-0.5
        self.values = nn.Parameter(torch.randn(int(starts[-1]), width - d_identity) * std)
        self.identity = nn.Parameter(torch.randn(len(code_sizes), d_identity) * std)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Embed; shapes above."""
        values = functional.embedding(codes + self.offsets, self.values)
        return torch.cat([self.identity.expand(len(codes), -1, -1), values], dim=2)


class TransformerLayer(nn.Module):
    """Attention among the columns of a row, then two linear layers; each normalised after its sum (arXiv 1706.03762).

    Shape: float32 [b, m, d] -> the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.expand = nn.Linear(WIDTH, EXPANSION * WIDTH)
        self.contract = nn.Linear(EXPANSION * WIDTH, WIDTH)
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mix tokens; shapes above."""
        tokens = self.attention_norm(tokens + self.dropout(self._attend(tokens)))
        transformed = self.contract(functional.relu(self.expand(tokens)))
        normed: torch.Tensor = self.feedforward_norm(tokens + self.dropout(transformed))
        return normed

    def _attend(self, tokens: torch.Tensor) -> torch.Tensor:
        num_rows, num_columns, _ = tokens.shape
        split = self.query_key_value(tokens).view(num_rows, num_columns, 3, NUM_HEADS, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        if self.training and num_columns <= MAX_PLAIN_COLUMNS:
            weights = (query * (WIDTH // NUM_HEADS) ** -0.5) @ key.transpose(-1, -2)
            mixed = weights.softmax(dim=-1) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        attended: torch.Tensor = self.attended(mixed.transpose(1, 2).reshape(tokens.shape))
        return attended


class EmbeddedInputs(nn.Module):
    """The perceptron's input: embedded categories beside standardised numbers. Shape: Rows -> float32 [b, l]."""

    def __init__(self, shape: RowShape) -> None:
        super().__init__()
        self.num_columns = len(shape.code_sizes)
        self.embedding = CategoryEmbedding(shape.code_sizes, WIDTH, d_identity=0)
        self.num_features = WIDTH * self.num_columns + shape.num_numbers

    def forward(self, rows: Rows) -> torch.Tensor:
        """Concatenate; shapes above."""
        return torch.cat([self.embedding(rows.codes).flatten(1), rows.numbers], dim=1)


class ContextualInputs(nn.Module):
    """The TabTransformer's: categories through the Transformer, numbers normalised across the row's columns.

    NOTE[DIFF]: one or two numbers are left as they are: layer normalisation leaves nothing of one, and of two only
    which is the larger.

    Shape: Rows -> float32 [b, l].
    """

    def __init__(self, shape: RowShape) -> None:
        super().__init__()
        self.num_columns = len(shape.code_sizes)
        self.embedding = CategoryEmbedding(shape.code_sizes, WIDTH, WIDTH // IDENTITY_SHARE)
        self.layers = nn.Sequential(
            *(TransformerLayer() for _ in range(NUM_LAYERS if self.num_columns else 0))
        )
        self.number_norm = nn.LayerNorm(shape.num_numbers) if shape.num_numbers > 2 else nn.Identity()
        self.num_features = WIDTH * self.num_columns + shape.num_numbers

    def contextual(self, codes: torch.Tensor) -> torch.Tensor:
        """Embeddings of categories in the context of their row; codes int64 [b, m] -> float32 [b, m, d]."""
        mixed: torch.Tensor = self.layers(self.embedding(codes))
        return mixed

    def forward(self, rows: Rows) -> torch.Tensor:
        """Concatenate; shapes above."""
        return torch.cat([self.contextual(rows.codes).flatten(1), self.number_norm(rows.numbers)], dim=1)


class HiddenLayers(nn.Sequential):
    """Two layers of 4l and 2l units, each SELU, then batch normalisation. Shape: float32 [b, l] -> [b, d_out]."""

    def __init__(self, num_features: int) -> None:
        widths = [
            min(factor * num_features, largest) for factor, largest in zip(HIDDEN, MAX_HIDDEN, strict=True)
        ]
        layers: list[nn.Module] = []
        for d_in, d_out in zip([num_features, *widths], widths, strict=False):
            layers += [nn.Linear(d_in, d_out), nn.SELU(), nn.BatchNorm1d(d_out), nn.Dropout(DROPOUT)]
        super().__init__(*layers)
        self.num_outputs = widths[-1]


class Network(nn.Module):
    """Inputs, hidden layers, and one linear layer of outputs. Shape: Rows -> float32 [b, o]."""

    def __init__(self, inputs: EmbeddedInputs | ContextualInputs, num_outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.hidden = HiddenLayers(inputs.num_features)
        self.output = nn.Linear(self.hidden.num_outputs, num_outputs)

    def features(self, rows: Rows) -> torch.Tensor:
        """What the output layer sees, float32 [b, d_out]."""
        features: torch.Tensor = self.hidden(self.inputs(rows))
        return features

    def forward(self, rows: Rows) -> torch.Tensor:
        """Outputs; shapes above."""
        outputs: torch.Tensor = self.output(self.features(rows))
        return outputs
