"""Fine-tuning: labels of one target or many, to judged heads, with one encoder pass per distinct view."""

from __future__ import annotations

from models.training.targets import HeadFailure, HeadResult, TargetData

__all__ = ["HeadFailure", "HeadResult", "TargetData"]
