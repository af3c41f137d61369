"""Compare a head that was just fitted with its target's champion, on labels that neither has been fitted on."""

from __future__ import annotations

from app.jobs.contract import Task
from models.errors import BundleError
from models.evaluation.comparison import PairedComparison, compare_paired
from models.evaluation.judged import JudgedRows, Part
from models.training.targets import HeadResult
from storage.artifacts.manifest import load_bundle
from storage.errors import StorageError
from storage.orm import Head
from storage.orm.base import JsonObject

_PARTS: tuple[Part, ...] = ("holdout", "out_of_fold")
"""The hold-out first: its labels were fitted by no head, whatever labels each of them had."""


def compare_with_champion(
    task: Task, head: Head, champion: Head | None, result: HeadResult
) -> JsonObject | None:
    """The paired comparison as JSON, with the id of the champion it was made against.

    None when there is nothing to pair: no champion, another snapshot's rows, too few labels in common.
    """
    if champion is None or champion.manifest_digest is None or not _is_same_snapshot(task, head, champion):
        return None
    try:
        files = load_bundle(task.store, task.workspace_id, champion.manifest_digest)
        for part in _PARTS:
            new = next((judged for judged in result.judged if judged.on == part), None)
            stored = files.get(f"judged_{part}.safetensors")
            if new is None or stored is None:
                continue
            comparison = compare_paired(new, JudgedRows.from_bytes(stored, new.task, part))
            if comparison.difference is not None:
                return _as_json(comparison, champion, part)
    except (BundleError, StorageError):
        # A champion that cannot be read is no reason to lose the new head; the gate compares published intervals.
        return None
    return None


def _is_same_snapshot(task: Task, head: Head, champion: Head) -> bool:
    """Judged rows are row numbers, which mean something within one snapshot only."""
    with task.database.reading() as uow:
        new, old = uow.encoders.get(head.encoder_id), uow.encoders.get(champion.encoder_id)
    return new is not None and old is not None and new.snapshot_id == old.snapshot_id


def _as_json(comparison: PairedComparison, champion: Head, part: Part) -> JsonObject:
    return {
        "champion": champion.id,
        "champion_version": champion.version,
        "metric": comparison.metric,
        "difference": comparison.difference,
        "low": comparison.low,
        "high": comparison.high,
        "n": comparison.num_rows,
        "on": part,
        "is_paired": True,
        "sentence": comparison.sentence,
    }
