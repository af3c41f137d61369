"""Pretraining objectives. A new one is a file with a frozen config that builds it, and one line below."""

from __future__ import annotations

from models.objectives.base import Objective
from models.objectives.masked_columns import MaskedColumns, MaskedColumnsConfig

__all__ = ["DEFAULT", "OBJECTIVES", "MaskedColumns", "MaskedColumnsConfig", "Objective", "ObjectiveConfig"]

ObjectiveConfig = MaskedColumnsConfig
"""Any objective's configuration; becomes a union discriminated by `kind` with the second objective."""

OBJECTIVES: tuple[type[ObjectiveConfig], ...] = (MaskedColumnsConfig,)

DEFAULT: tuple[ObjectiveConfig, ...] = (MaskedColumnsConfig(),)
