"""Encoder versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.base import AnswerBody, Instant, JsonMapping, RequestBody
from app.schemas.jobs import JobBody, JobErrorBody
from app.schemas.payloads import DEFAULT_PRETRAIN_SECONDS
from models.encoders import EncoderConfig
from models.features.codec import CodecConfig
from models.objectives import ObjectiveConfig

VersionStatus = Literal["pretraining", "training", "ready", "failed", "cancelled"]


class EncoderRequest(RequestBody):
    """All fields have defaults; `{}` asks for the default architecture and objective."""

    architecture: EncoderConfig | None = None
    objectives: Annotated[list[ObjectiveConfig], Field(min_length=1, max_length=4)] | None = None
    codec: CodecConfig | None = Field(
        default=None,
        description="Sizes of vocabularies and bins; a value seen in fewer than min_count rows is never stored.",
    )
    max_seconds: Annotated[float, Field(gt=0, le=86_400)] = DEFAULT_PRETRAIN_SECONDS
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class EncoderSummary(AnswerBody):
    version: int
    status: VersionStatus


class EncoderAccepted(AnswerBody):
    encoder: EncoderSummary
    job: JobBody


class PinnedHeadBody(AnswerBody):
    target: str
    version: int
    aliases: list[str]


class EncoderBody(EncoderSummary):
    id: str
    active: bool
    stale: str | None = Field(
        description="Why a new encoder is worth training; null while it fits the columns."
    )
    snapshot: int
    schema_version: int
    architecture: JsonMapping
    objectives: list[JsonMapping]
    num_heads: int = Field(description="Ready heads that are pinned to it.")
    heads: list[PinnedHeadBody] = Field(description="Those of them that aliases point at.")
    bytes: int | None
    job: str | None
    error: JobErrorBody | None
    created_at: Instant
    ready_at: Instant | None


class EncoderDetail(EncoderBody):
    codec: JsonMapping | None = Field(
        description="The sizes its codec was fitted with; null until it is ready."
    )
    report: dict[str, Any] | None


class EncoderList(AnswerBody):
    encoders: list[EncoderBody]


class EncoderDeleted(AnswerBody):
    version: int
    heads: int = Field(description="Failed heads that went with it.")
    artifacts: int = Field(description="Stored objects that nothing needs any more, removed.")
