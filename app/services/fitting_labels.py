"""The label set that a head stands on: labels to fit it, or, where it learns from none, labels to judge it."""

from __future__ import annotations

from pydantic import TypeAdapter

from app.errors import InvalidRequest
from app.services.fitting_ground import FittingGround
from app.services.target_labels import check_columns, check_fittable
from app.services.views import is_seen_in_pretraining
from models import objectives
from models.heads import HeadConfig
from models.objectives import ObjectiveConfig
from storage.orm import LabelSet, Target
from storage.unit_of_work import UnitOfWork

_OBJECTIVES: TypeAdapter[list[ObjectiveConfig]] = TypeAdapter(list[ObjectiveConfig])


def labels_for(uow: UnitOfWork, target: Target, ground: FittingGround, head: HeadConfig) -> LabelSet:
    """The label set to pin a head of this kind to.

    Raises: as `check_fittable`; InvalidRequest `not_pretrained_column`, `no_column_guesses`, for kinds that do not learn
        from labels.
    """
    if head.learns_from_labels:
        return check_fittable(uow, target, ground.snapshot, ground.schema)
    return _check_guessable(uow, target, ground, head.kind)


def _check_guessable(uow: UnitOfWork, target: Target, ground: FittingGround, kind: str) -> LabelSet:
    """What the encoder must have learned; labels there may be or not."""
    check_columns(target, ground.schema)
    label_set = uow.label_sets.latest(target.id)
    version = ground.encoder.version
    if label_set is None or not is_seen_in_pretraining(ground.encoder_schema, target.column_name):
        what = (
            "has labels by key and no column of its own"
            if target.column_name is None
            else f"is the column {target.column_name!r}, which encoder {version} was not pretrained on"
        )
        raise InvalidRequest(
            f"A {kind} head predicts a feature column of its encoder; the target {target.name!r} {what}. Ask for the head "
            "kind linear, or give the column the role feature and pretrain again.",
            code="not_pretrained_column",
        )
    trained_with = _OBJECTIVES.validate_python(ground.encoder.objectives or list(objectives.DEFAULT))
    if not any(objective.guesses_columns for objective in trained_with):
        raise InvalidRequest(
            f"Encoder {version} was pretrained without masked_columns, so it guesses no hidden column and has no {kind} "
            "heads. Pretrain one with that objective.",
            code="no_column_guesses",
        )
    return label_set
