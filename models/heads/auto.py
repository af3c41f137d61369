"""`auto`: ask for the best head within the budget."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from models.heads.linear import LinearHeadConfig
from models.heads.problem import HeadFit, HeadProblem


class AutoHeadConfig(BaseModel):
    """The best head within the budget. Today that is the linear head: it is the only kind there is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto"] = "auto"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        return LinearHeadConfig().fit(problem)
