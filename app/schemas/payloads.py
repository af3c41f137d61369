"""What a job is asked to do: written by the services when a job is queued, read by the job kinds.

Payloads are stored as JSON in `job.payload` (`model_dump(mode="json")`) and may be read by a newer version of
the program than the one that wrote them: fields are only ever added, with defaults. Options that belong to
`models` (architecture, objectives, head, reading) stay JSON here and are validated by their own configs where
they are used, so that building a payload needs neither torch nor polars.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.features.schema import ColumnOverride, SplitBy
from storage.orm.base import JsonObject

DEFAULT_PRETRAIN_SECONDS = 600.0
DEFAULT_FINETUNE_SECONDS = 60.0


class _Payload(BaseModel):
    # Unknown fields are ignored: a job queued by a newer version must not fail on an older worker.
    model_config = ConfigDict(frozen=True, extra="ignore")


class UploadedFile(_Payload):
    """One file as it was received: an artifact of the workspace, owned by the job until it ends."""

    digest: str
    filename: str
    num_bytes: int = 0


class NextSnapshot(_Payload):
    """How the rows of the files join those of the table; `split` and `evaluation_fraction`, where they are said,
    count for the rows that are new."""

    mode: Literal["replace", "append", "upsert"]
    on_conflict: Literal["refuse", "keep", "update"] | None = None
    accept_drift: bool = False
    parent: int | None = None  # version of the snapshot that must still be current
    split: SplitBy | None = None
    evaluation_fraction: float | None = None


class IngestPayload(_Payload):
    """Turn received files into a snapshot of a table; their rows follow each other in the order of `files`."""

    table_id: str
    table_name: str
    files: Annotated[list[UploadedFile], Field(min_length=1)]
    columns: dict[str, ColumnOverride] = {}
    split: SplitBy = SplitBy()
    evaluation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    reading: JsonObject = {}  # models.features.reading.ReadOptions
    max_bytes: int | None = (
        None  # of the decoded file; null: the default of models.features.reading.ReadLimits
    )
    pretrain: bool = False  # queue a pretrain job when the snapshot is published
    pretrain_max_seconds: float = DEFAULT_PRETRAIN_SECONDS
    architecture: JsonObject = {}  # of the chained pretraining; {} is the default kind
    objectives: list[JsonObject] = []  # [] is the default objective
    next: NextSnapshot | None = None  # null: the table's first snapshot

    @model_validator(mode="before")
    @classmethod
    def _one_file_of_old(cls, given: Any) -> Any:
        """Jobs queued before tables could come in several files name one, as `upload_digest` and `filename`."""
        if isinstance(given, dict) and "upload_digest" in given and "files" not in given:
            old = {"digest": given["upload_digest"], "filename": given.get("filename", "upload")}
            return {**given, "files": [old]}
        return given


class PretrainPayload(_Payload):
    """Train one encoder version on one snapshot."""

    table_id: str
    encoder_id: str
    snapshot_id: str
    schema_version: int
    architecture: JsonObject = {}  # models.encoders.EncoderConfig; {} is the default kind
    objectives: list[JsonObject] = []  # models.objectives.ObjectiveConfig; [] is the default objective
    codec: JsonObject = {}  # models.features.codec.CodecConfig; {} are the default sizes
    max_seconds: float = DEFAULT_PRETRAIN_SECONDS
    seed: int = 0
    max_steps: int | None = None  # fixed number of steps instead of the probe of `max_seconds`
    checkpoint_every_s: float = 15.0


class LabelsRequest(_Payload):
    """How many train labels to use: all (`limit` null), or a random sample that depends on `seed` only."""

    limit: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0


class HeadToFit(_Payload):
    """One head version of a fine-tune; target and label set are those the head row is pinned to.

    `head` and `labels` where it does not share those of the other heads.
    """

    head_id: str
    target_id: str
    label_set_id: str
    head: JsonObject | None = None
    labels: LabelsRequest | None = None


class FinetunePayload(_Payload):
    """Fit heads of one encoder; they share the budget and, but for those that bring their own, label request and head
    config."""

    table_id: str
    encoder_id: str
    snapshot_id: str
    schema_version: int
    heads: Annotated[list[HeadToFit], Field(min_length=1)]
    head: JsonObject = {"kind": "auto"}  # models.heads.HeadConfig
    labels: LabelsRequest = LabelsRequest()
    max_seconds: float = DEFAULT_FINETUNE_SECONDS
    baselines: bool = True  # fit the baselines that are reported beside each head
    importance: bool = True  # look for the columns that matter, within a tenth of the time
    alias: str | None = None  # to move on success, besides `champion` for a target's first passing head
    moves_aliases: bool = True  # false: none moves, whatever the gate says


class RefitPayload(FinetunePayload):
    """Fit the champions of a table anew on one encoder; `skipped` are targets that cannot be, with the reason."""

    skipped: dict[str, str] = {}
