"""The fitted blend: heads of several kinds for one target, averaged. `B` rows, `O` outputs, `M` members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.files import HeadFiles, pack
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import FittedHead, FloatArray, Inputs, Pass, words_of
from models.heads.scoring import FinishesScores, ScoringHead, is_scoring

MAX_MEMBERS = 16


@dataclass(frozen=True, slots=True, eq=False)
class BlendHead(FinishesScores):
    """A weighted mean of the members' calibrated scores: of values, or of logits, which is the geometric mean of odds.

    Shape: `weights` [M], positive, of sum 1, in the order of `members`. Members share task, classes, view and encoder.
    """

    members: tuple[ScoringHead, ...]
    weights: tuple[float, ...]
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return "blend"

    @property
    def task(self) -> Task:
        return self.members[0].task

    @property
    def classes(self) -> tuple[JsonScalar, ...] | None:
        return self.members[0].classes

    @property
    def view(self) -> tuple[str, ...]:
        return self.members[0].view

    @property
    def encoder_fingerprint(self) -> str:
        return self.members[0].encoder_fingerprint

    @property
    def needs(self) -> tuple[Pass, ...]:
        return tuple(need for member in self.members for need in member.needs)

    @property
    def num_bytes(self) -> int:
        return sum(member.num_bytes for member in self.members)

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits or values float64 [B, O]."""
        found = []
        start = 0
        for member in self.members:
            stop = start + len(member.needs)
            found.append(member.finishing.calibrated(member.scores(inputs[start:stop])))
            start = stop
        return averaged(found, self.weights)

    def to_files(self) -> dict[str, bytes]:
        """`head.json`, `head.safetensors`, and each member's files under `member_0/`, `member_1/`, …"""
        header: dict[str, object] = {
            **words_of(self),
            "weights": list(self.weights),
            **self.finishing.header(),
        }
        members = {
            f"member_{number}/{name}": content
            for number, member in enumerate(self.members)
            for name, content in member.to_files().items()
        }
        return {**pack(self.kind, header, self.finishing.tensors()), **members}

    @classmethod
    def from_parts(cls, parts: HeadFiles, read: Callable[[dict[str, bytes]], FittedHead]) -> BlendHead:
        """`read` makes a head of a member's files.

        Raises:
            BundleError: a member is missing, damaged, itself a blend, or does not belong to the others.
        """
        weights = parts.numbers("weights")
        if not 0 < len(weights) <= MAX_MEMBERS or min(weights) <= 0.0 or abs(sum(weights) - 1.0) > 1e-6:
            raise BundleError("the blend's weights are not shares of a whole; fit it again")
        members = tuple(_member(parts, read, number) for number in range(len(weights)))
        return cls(members, weights, Finishing.from_parts(parts))


def averaged(scores: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """Weighted sum [B, O] of scores [B, O], added in order, so that a row's bits are its own."""
    total = np.zeros_like(scores[0])
    for part, weight in zip(scores, weights, strict=True):
        total += weight * part
    return total


def _member(parts: HeadFiles, read: Callable[[dict[str, bytes]], FittedHead], number: int) -> ScoringHead:
    prefix = f"member_{number}/"
    files = {
        name.removeprefix(prefix): content
        for name, content in parts.others.items()
        if name.startswith(prefix)
    }
    head = read(files)
    if isinstance(head, BlendHead) or not is_scoring(head):
        raise BundleError(f"a {head.kind} head cannot be a member of a blend; fit it again")
    belongs = (head.task, head.classes, head.view, head.encoder_fingerprint) == (
        parts.task,
        parts.classes,
        parts.view,
        parts.text("encoder_fingerprint"),
    )
    if not belongs:
        raise BundleError(f"member {number} of the blend belongs to another head; fit it again")
    return head
