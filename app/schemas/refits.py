"""Champions fitted anew on another encoder, and moves of a job taken back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.base import JOB_ID_PATTERN, AnswerBody, Name, RequestBody
from app.schemas.heads import TargetHead
from app.schemas.jobs import JobBody

SECONDS_PER_TARGET = 60.0


class RefitRequest(RequestBody):
    """`{}` asks for all champions, on the latest labels, with the aliases moved where the gate lets them."""

    targets: Annotated[list[Name], Field(min_length=1, max_length=1_000)] | Literal["*"] = "*"
    labels: Literal["latest", "same"] = Field(
        default="latest",
        description="The latest label set of each target, or the one its champion was fitted on.",
    )
    max_seconds: Annotated[float | None, Field(gt=0, le=86_400)] = Field(
        default=None, description="For all heads together; by default 60 for each."
    )
    promote: bool = Field(
        default=True,
        description="Whether champion moves to a new head that beats a constant and is not worse.",
    )


class RefitHead(TargetHead):
    refit_of: int = Field(description="Version of the champion whose config and label request it repeats.")


class RefitAccepted(AnswerBody):
    encoder: int
    heads: list[RefitHead]
    skipped: dict[str, str] = Field(description='With "*": targets that cannot be refitted now, and why.')
    job: JobBody


class JobRollbackRequest(RequestBody):
    job: Annotated[str, Field(pattern=JOB_ID_PATTERN)]


class AliasMovedBack(AnswerBody):
    target: str
    alias: str
    version: int | None = Field(
        description="Where it points now; null where the job had made it: it is gone."
    )
    from_version: int


class AliasLeftAlone(AnswerBody):
    target: str
    alias: str
    reason: str


class JobRolledBack(AnswerBody):
    job: str
    rolled_back: list[AliasMovedBack]
    left_alone: list[AliasLeftAlone]
