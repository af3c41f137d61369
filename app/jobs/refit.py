"""Fit all champions of a table anew, on another encoder and the snapshot of now: one job, one pass per view."""

from __future__ import annotations

from app.jobs.finetune import FinetuneJob
from app.schemas.payloads import RefitPayload
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

_COMPARED = ("metric", "difference", "low", "high", "n", "on", "sentence", "earlier_rows")


class RefitJob(FinetuneJob):
    """A fine-tune whose heads each repeat the config of a champion, and face it.

    Its result has a `summary`: for every target the paired difference (new minus champion) on rows that both have been
    judged on, or why there is none, and whether its alias moved.
    """

    kind = "refit"

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        payload = RefitPayload.model_validate(job.payload)
        published = super().publish(uow, job, result)
        heads: list[JsonObject] = published["heads"]
        return {
            **published,
            "summary": [
                *(_summary_row(head) for head in heads),
                *(_skipped_row(target, reason) for target, reason in payload.skipped.items()),
            ],
            "moved": [f"{head['target']}@{alias}" for head in heads for alias in head["aliases"]],
        }


def _summary_row(head: JsonObject) -> JsonObject:
    comparison = head.get("comparison") or {}
    champion = comparison.get("champion_version", head.get("refit_of"))
    row: JsonObject = {"target": head["target"], "status": head["status"], "champion": champion}
    row |= {"version": head["version"]} | {name: comparison.get(name) for name in _COMPARED}
    if row["difference"] is None:
        error = head.get("error") or {}
        row["sentence"] = error.get("message") or f"not compared: {comparison.get('reason', 'no champion')}"
    return {**row, "moved": bool(head["aliases"]), "reason": head["alias_reason"]}


def _skipped_row(target: str, reason: str) -> JsonObject:
    row: JsonObject = {"target": target, "status": "skipped", "champion": None, "version": None}
    return {**row, **dict.fromkeys(_COMPARED), "sentence": reason, "moved": False, "reason": reason}
