"""Erasing rows by key: what is asked, what the job gets, and the receipt."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.schemas.base import AnswerBody, Instant, RequestBody
from app.schemas.jobs import JobBody
from app.schemas.predict import check_keys

MAX_KEYS = 10_000


class EraseRequest(RequestBody):
    """Keys as predictions take them; a key that stands twice counts once."""

    keys: Annotated[
        list[str | int],
        BeforeValidator(check_keys, json_schema_input_type=list[str | int]),
        Field(min_length=1, max_length=MAX_KEYS, description="Keys of the rows to erase."),
    ]


class SecretKeys(BaseModel):
    """By what the job finds rows. Nobody reads a key off it, but whoever guesses one can tell: it goes with the job."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    salt: str  # hex
    hmacs: list[str]  # HMAC-SHA256 of the keys, hex
    identities: list[int]  # models.features.row_identity, which heads keep of rows they were judged on


class ErasePayload(BaseModel):
    """`until_end` is gone when the job has ended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    table_id: str
    num_keys: int = 0
    until_end: SecretKeys | None = None


class ErasureAccepted(AnswerBody):
    """`salt` is given here and nowhere else: with it, who knows a key finds it in `keys_hmac_sha256` of the receipt.

    An answer that repeats an earlier one has none.
    """

    erasure: str = Field(description="Id of the erasure, which is that of its job.")
    salt: str | None
    job: JobBody


class ErasedSnapshot(AnswerBody):
    version: int
    rows: int


class ErasedLabels(AnswerBody):
    target: str
    version: int
    labels: int


class ErasedReference(AnswerBody):
    encoder: int
    rows: int = Field(
        description="Replaced by other training rows in the sample that heads are standardised with."
    )


class ErasedJudgement(AnswerBody):
    target: str
    version: int
    rows: int


class ErasedPlaces(AnswerBody):
    """Where something was removed; what is not named here had nothing of these rows."""

    snapshots: list[ErasedSnapshot]
    label_sets: list[ErasedLabels]
    encoders_reference: list[ErasedReference]
    judged: list[ErasedJudgement]
    objects_removed: int
    bytes_removed: int


class TrainedHead(AnswerBody):
    target: str
    version: int


class TrainedWith(AnswerBody):
    """Versions whose weights were fitted on these rows; they stay until somebody replaces and deletes them."""

    encoders: list[int]
    heads: list[TrainedHead]
    remedy: str | None


class ErasureReceipt(AnswerBody):
    erasure: str
    table: str
    status: Literal["removing", "completed"] = Field(
        description="`removing` until the replaced objects are out of the store."
    )
    keys_requested: int
    keys_found: int
    keys_hmac_sha256: list[str] = Field(
        description="HMAC-SHA256 of the keys with the salt of the 202, sorted."
    )
    places: ErasedPlaces
    trained_with: TrainedWith
    not_covered: list[str]
    published_at: Instant
    completed_at: Instant | None


class ErasureList(AnswerBody):
    """`erasures`: receipts, newest first; `unfinished`: jobs under way."""

    erasures: list[ErasureReceipt]
    unfinished: list[JobBody]
