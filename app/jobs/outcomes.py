"""How the heads of a job become visible: published or failed one by one, with aliases moved by the gate's rule."""

from __future__ import annotations

from app.jobs.gate import champion_of, judge, move_aliases
from app.schemas.payloads import FinetunePayload
from storage.orm import Head, Job
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

NOT_FITTED = "The head could not be fitted."
NOT_ASKED = "No alias was to be moved."


def publish_head(uow: UnitOfWork, job: Job, entry: JsonObject, payload: FinetunePayload) -> JsonObject:
    """Publish one head as the job's child left it; returns what the job's result says about it."""
    head = uow.heads.get(entry["head_id"])
    target = None if head is None else uow.targets.get(head.target_id)
    if head is None or target is None:
        reason = "The target was deleted meanwhile."
        gone = {"target": entry["target"], "version": None, "status": "deleted"}
        return {**gone, "alias": None, "aliases": [], "alias_reason": reason}
    outcome: JsonObject = {"target": target.name, "version": head.version, "alias": None, "aliases": []}
    if head.refit_of_id is not None:
        champion = uow.heads.get(head.refit_of_id)
        outcome["refit_of"] = None if champion is None else champion.version
    if "error" in entry:
        uow.heads.mark_failed(head.id, "failed", entry["error"])
        return {**outcome, "status": "failed", "alias_reason": NOT_FITTED, "error": entry["error"]}
    champion = champion_of(uow, target.id)
    head = _publish(uow, job, head, entry)
    verdict = judge(target, entry["metrics"], entry["beats_constant"], champion, entry["comparison"])
    moved = move_aliases(uow, target, head, payload.alias, verdict, job.id) if payload.moves_aliases else []
    return {
        **outcome,
        "status": "ready",
        "metrics": {
            name: metric.get("value") for name, metric in entry["metrics"].items() if isinstance(metric, dict)
        },
        "verdict": entry["verdict"],
        "comparison": _shown(entry["comparison"]),
        "alias": payload.alias if payload.alias in moved else next(iter(moved), None),
        "aliases": moved,
        "passes_gate": verdict.passes,
        "alias_reason": verdict.reason if payload.moves_aliases else f"{NOT_ASKED} {verdict.reason}",
    }


def view_groups(views: dict[str, tuple[str, ...]]) -> list[JsonObject]:
    """Target -> its absent columns, as the encoder passes there were: which targets shared one."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for target, view in views.items():
        groups.setdefault(view, []).append(target)
    return [{"targets": targets, "absent_columns": list(view)} for view, targets in groups.items()]


def _publish(uow: UnitOfWork, job: Job, head: Head, entry: JsonObject) -> Head:
    published = uow.heads.publish(
        head.id,
        entry["manifest_digest"],
        sum(num_bytes for _, num_bytes in entry["artifacts"]),
        entry["metrics"],
        entry["baselines"],
        entry["verdict"],
        entry["report"],
        entry["kind"],
    )
    for digest, num_bytes in entry["artifacts"]:
        uow.artifacts.add(job.workspace_id, digest, num_bytes, head.id)
    return published


def _shown(comparison: JsonObject | None) -> JsonObject | None:
    """Without ids: the version says which champion it was."""
    return None if comparison is None else {k: v for k, v in comparison.items() if k != "champion"}
