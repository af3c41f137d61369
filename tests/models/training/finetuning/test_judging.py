"""Whom a gain may be put down to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.heads.prediction import ColumnValuesPass, HiddenColumnPass, Pass, RowFeaturesPass
from models.training.judging import reads_encoder

IS_RAW = np.array([False, False, True])


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        (RowFeaturesPass(torch.tensor([[0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]), torch.zeros(2)), True),
        (RowFeaturesPass(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1)), False),
        (ColumnValuesPass(), False),
        (HiddenColumnPass("a"), True),
    ],
)
def test__reads_encoder__straight_lines_and_trees__do_not(need: Pass, expected: bool) -> None:
    assert reads_encoder(need, IS_RAW) is expected
