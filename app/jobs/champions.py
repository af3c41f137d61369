"""Compare a head that was just fitted with its target's champion, on labels that neither has been fitted on."""

from __future__ import annotations

from app.jobs.contract import Task
from app.jobs.rejudging import has_later_rows, judged_again
from models.errors import BundleError
from models.evaluation.comparison import PairedComparison, compare_paired
from models.evaluation.judged import JudgedRows, Part
from models.evaluation.metrics import PRIMARY
from models.features.snapshot import Snapshot
from models.heads.files import unpack
from models.training.targets import HeadResult
from storage.artifacts.manifest import load_bundle
from storage.errors import StorageError
from storage.orm import Head
from storage.orm.base import JsonObject

_PARTS: tuple[Part, ...] = ("holdout", "out_of_fold")
"""The hold-out first: its labels were fitted by no head, whatever labels each of them had."""


def compare_with_champion(
    task: Task, champion: Head | None, result: HeadResult, snapshot: Snapshot, snapshot_id: str
) -> JsonObject | None:
    """The paired comparison as JSON, with the id of the champion it was made against; None where there is none.

    `snapshot` has the new head's rows. Where its hold-out has rows that came after the champion, the champion predicts
    them too, and `earlier_rows` has the difference on those that it was judged on before. Where the rows cannot tell,
    `difference` is null and `reason` says why.
    """
    if champion is None or champion.manifest_digest is None:
        return None
    reason = "neither head was judged on hold-out rows or out of fold on the same rows"
    try:
        files = load_bundle(task.store, task.workspace_id, champion.manifest_digest)
        has_same_numbers = _is_judged_on(task, champion, snapshot_id)
        for part in _PARTS:
            new = next((judged for judged in result.judged if judged.on == part), None)
            stored = files.get(f"judged_{part}.safetensors")
            if new is None or stored is None:
                continue
            old = JudgedRows.from_bytes(stored, unpack(files).task, part)
            comparison = _compare(new, old, files, result, has_same_numbers=has_same_numbers)
            over_all = _with_later_rows(task, champion, files, new, old, result, snapshot)
            if over_all is not None and over_all.difference is not None:
                earlier = {name: getattr(comparison, name) for name in ("difference", "low", "high")}
                return _as_json(over_all, champion) | {"earlier_rows": {**earlier, "n": comparison.num_rows}}
            if comparison.difference is not None:
                return _as_json(comparison, champion)
            reason = comparison.reason or reason
    except (BundleError, StorageError):
        # A champion that cannot be read is no reason to lose the new head; the gate compares published intervals.
        reason = "the champion's files cannot be read"
    return {
        "champion": champion.id,
        "champion_version": champion.version,
        "difference": None,
        "reason": reason,
    }


def _with_later_rows(
    task: Task,
    champion: Head,
    files: dict[str, bytes],
    new: JudgedRows,
    old: JudgedRows,
    result: HeadResult,
    snapshot: Snapshot,
) -> PairedComparison | None:
    """On all hold-out rows of the new head; None where the champion was judged on them, or cannot be any more."""
    if not has_later_rows(new, old):
        return None
    try:
        again = judged_again(task, champion, files, new, snapshot)
    except (
        BundleError,
        StorageError,
    ):  # such as an encoder of an unknown format: what was stored still compares
        return None
    return _compare(new, again, files, result, has_same_numbers=True)


def _compare(
    new: JudgedRows,
    old: JudgedRows,
    files: dict[str, bytes],
    result: HeadResult,
    *,
    has_same_numbers: bool,
) -> PairedComparison:
    """Raises: BundleError."""
    champion = unpack(files)
    classes = champion.classes
    if classes is not None and result.head.classes is not None and champion.task is new.task:
        try:
            old = old.in_classes(classes, result.head.classes)
        except ValueError:
            return _not_compared(new, "the champion has classes that the target no longer has")
    if (old.identities is None or new.identities is None) and not has_same_numbers:
        return _not_compared(
            new,
            "the champion was judged on row numbers of another snapshot, by an earlier version of Rootstock",
        )
    return compare_paired(new, old)


def _not_compared(new: JudgedRows, reason: str) -> PairedComparison:
    return PairedComparison(PRIMARY[new.task], new.on, 0, None, None, None, reason)


def _is_judged_on(task: Task, champion: Head, snapshot_id: str) -> bool:
    """Whether row numbers of a champion without row identities are of this snapshot.

    Such heads are older than second snapshots of a table: they were judged on the one their encoder was trained on.
    """
    with task.database.reading() as uow:
        encoder = uow.encoders.get(champion.encoder_id)
    return encoder is not None and encoder.snapshot_id == snapshot_id


def _as_json(comparison: PairedComparison, champion: Head) -> JsonObject:
    return {
        "champion": champion.id,
        "champion_version": champion.version,
        "metric": comparison.metric,
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "n": comparison.num_rows,
        "on": comparison.on,
        "is_paired": True,
        "sentence": comparison.sentence,
    }
