"""`auto`: ask for the best head within the budget."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.heads.linear import LinearHeadConfig
from models.heads.problem import HeadFit, HeadProblem


class AutoHeadConfig(BaseModel):
    """The best head within the budget. Today that is the linear head: it is the only kind there is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto"] = "auto"

    def fit(self, problem: HeadProblem) -> HeadFit:
        return LinearHeadConfig().fit(problem)
