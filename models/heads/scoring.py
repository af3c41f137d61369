"""Heads whose answer starts from one number per output: by these, heads of several kinds are averaged."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from models.heads.finishing import Finishing
from models.heads.prediction import FittedHead, FloatArray, Inputs


@runtime_checkable
class ScoringHead(FittedHead, Protocol):
    """`finish` is nothing but `finishing` applied to `scores`."""

    @property
    def finishing(self) -> Finishing: ...

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits (regression: values) float64 [B, O] before calibration, row by row."""
