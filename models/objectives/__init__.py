"""Pretraining objectives. A new one is a file with a frozen config that builds it, and one line below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Discriminator

from models.errors import EncoderError
from models.objectives.base import Objective
from models.objectives.masked_columns import MaskedColumns, MaskedColumnsConfig
from models.objectives.replaced_columns import ReplacedColumns, ReplacedColumnsConfig

__all__ = [
    "DEFAULT",
    "OBJECTIVES",
    "MaskedColumns",
    "MaskedColumnsConfig",
    "Objective",
    "ObjectiveConfig",
    "ReplacedColumns",
    "ReplacedColumnsConfig",
    "check_objectives",
]

ObjectiveConfig = Annotated[MaskedColumnsConfig | ReplacedColumnsConfig, Discriminator("kind")]
"""Any objective's configuration; validated by its `kind`."""

OBJECTIVES: tuple[type[MaskedColumnsConfig] | type[ReplacedColumnsConfig], ...] = (
    MaskedColumnsConfig,
    ReplacedColumnsConfig,
)

DEFAULT: tuple[ObjectiveConfig, ...] = (MaskedColumnsConfig(),)


def check_objectives(objectives: Sequence[ObjectiveConfig]) -> None:
    """Raises: EncoderError when there is none (`no_objectives`) or two are of one kind (`duplicate_objective`)."""
    if not objectives:
        raise EncoderError("Pretraining needs at least one objective; none was given.", code="no_objectives")
    kinds = [objective.kind for objective in objectives]
    repeated = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if repeated:
        raise EncoderError(
            f"Every kind of objective may be given once; {repeated[0]} was given {kinds.count(repeated[0])} times. "
            "Keep one of them.",
            code="duplicate_objective",
        )
