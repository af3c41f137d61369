"""Per-column outputs: buckets change nothing, untrained ones predict the marginal, padding is never likely."""

from __future__ import annotations

import torch
from torch.nn import functional

from models.features.codec import Codec
from models.layers.column_outputs import FIRST_CLASS, ColumnOutputs
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame


def _outputs() -> tuple[Codec, ColumnOutputs]:
    codec = Codec.fit(mixed_frame(300), MIXED_SCHEMA)
    return codec, ColumnOutputs(codec, 8, generator=torch.Generator().manual_seed(0))


def test__column_outputs__losses__equal_those_of_each_column_alone() -> None:
    codec, outputs = _outputs()
    hidden = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1))
    targets = torch.stack(
        [torch.arange(6) % (column.num_values + 2) + FIRST_CLASS for column in codec.columns]
    )
    together = outputs(hidden, targets, [0, 1, 2, 3])
    for position in range(4):
        alone = outputs(hidden[position : position + 1], targets[position : position + 1], [position])
        torch.testing.assert_close(together[position], alone[0])
        probabilities = outputs.log_probabilities(hidden[position : position + 1], [position])[0]
        assert probabilities.shape == (6, codec.columns[position].num_values + 2)
        expected = functional.nll_loss(probabilities, targets[position] - FIRST_CLASS, reduction="none")
        torch.testing.assert_close(together[position], expected)


def test__column_outputs__zero_hidden_vector__predicts_the_marginal() -> None:
    codec, outputs = _outputs()
    with torch.no_grad():
        guessed = outputs.log_probabilities(torch.zeros(4, 1, 8), [0, 1, 2, 3])
    for column, log_probabilities in zip(codec.columns, guessed, strict=True):
        probabilities = log_probabilities[0].exp()
        torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0))
        assert abs(float(probabilities[0]) - column.missing_fraction) < 0.01
        known = torch.tensor(column.frequencies) * (1 - column.missing_fraction)
        torch.testing.assert_close(probabilities[2:], known, atol=0.01, rtol=0.0)
