"""API keys; the secret appears once, in the answer that made it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from app.schemas.base import AnswerBody, Instant, Name, RequestBody

Scope = Literal["tables:read", "tables:write", "finetune", "predict", "promote", "admin"]


class KeyRequest(RequestBody):
    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=6)]
    expires_at: Annotated[AwareDatetime | None, Field(strict=False)] = None


class KeyBody(AnswerBody):
    id: str
    name: str
    prefix: str = Field(description="The part of the key that may be shown.")
    scopes: list[str]
    status: Literal["live", "expired", "revoked"]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyCreated(KeyBody):
    key: str | None = Field(
        description="The key, shown only now; null when an idempotent request is repeated."
    )


class KeyList(AnswerBody):
    keys: list[KeyBody]
