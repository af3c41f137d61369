"""The decision rule of a target: set, looked at, taken back. Heads stay as they are; only `label` in answers changes."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import ResourceConflict
from app.schemas.principal import Principal
from app.schemas.targets import DecisionBody
from app.services.lookup import target_of
from app.serving.decisions import rule_of
from models.errors import BundleError, InputError
from models.evaluation.judged import JudgedRows, Part
from models.features.schema import JsonScalar, Task
from models.heads import load_head
from models.heads.decision import MOST_PROBABLE, CostRule, DecisionRule
from models.heads.scores import ScoreQuantiles
from models.training.deciding import evaluated
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import load_bundle
from storage.engine import Database
from storage.errors import StorageError
from storage.orm import Head, Target
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

CHAMPION = "champion"
_PARTS: tuple[Part, ...] = ("out_of_fold", "holdout")


class DecisionService:
    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    def get(self, principal: Principal, table: str, target: str) -> DecisionBody:
        """The rule, and what it comes to on the rows that the champion was judged on."""
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            champion = _champion(uow, row)
        return self._body(principal, row, champion)

    def put(self, principal: Principal, table: str, target: str, rule: DecisionRule | None) -> DecisionBody:
        """Decide by `rule` from now on; None is the most probable class.

        Raises: ResourceConflict `task_not_settled`, `decision_does_not_fit` (the target), `no_score_quantiles` (a
            champion that a capacity cannot be applied to).
        """
        with self._database.writing() as uow:
            _, row = target_of(uow, principal, table, target)
            champion = _champion(uow, row)
            stored = None
            if rule is not None:
                task = None if row.task is None else Task(row.task)
                stored = checked(rule, task, row.classes)
                _check_champion(rule, row, champion)
            row = uow.targets.set_decision(row, stored)
            uow.audit.add(
                principal.workspace_id,
                principal.key_id,
                "target.decision",
                row.id,
                {"rule": "most_probable" if rule is None else rule.rule},
            )
        return self._body(principal, row, champion)

    def _body(self, principal: Principal, target: Target, champion: Head | None) -> DecisionBody:
        found, reason = None, None
        if champion is None:
            reason = "The target has no champion; fine-tune a head."
        elif target.task == Task.REGRESSION:
            reason = "A regression has nothing to decide."
        else:
            try:
                found = self._evaluated(principal, target, champion)
            except InputError as error:
                reason = error.message
            except (BundleError, StorageError) as error:
                reason = f"The stored champion cannot be read ({error.code}); fit it again."
            if found is not None and not found["metrics"]:
                reason = "The champion was judged on no rows."
        return DecisionBody(
            target=target.name,
            decision=target.decision or dict(MOST_PROBABLE.words),
            head=None if champion is None else champion.version,
            applied=None if found is None else found["decision"],
            metrics=None if found is None else found["metrics"],
            most_probable=None if found is None else found["most_probable"],
            reason=reason,
        )

    def _evaluated(self, principal: Principal, target: Target, champion: Head) -> JsonObject | None:
        if champion.manifest_digest is None:
            return None
        files = load_bundle(self._store, principal.workspace_id, champion.manifest_digest)
        head = load_head(files)
        if head.classes is None:
            return None
        rule = rule_of(target.decision)
        decision = MOST_PROBABLE if rule is None else rule.bind(head.classes, scores_of(champion))
        judged = [
            JudgedRows.from_bytes(files[name], head.task, part)
            for part in _PARTS
            if (name := f"judged_{part}.safetensors") in files
        ]
        return evaluated(judged, decision)


def checked(rule: DecisionRule, task: Task | None, classes: Sequence[JsonScalar] | None) -> JsonObject:
    """The rule as it is stored with a target of this task and these classes; costs name their classes.

    Raises: ResourceConflict `task_not_settled`, `decision_does_not_fit`.
    """
    if task is None:
        raise ResourceConflict(
            "A decision needs classes, and the target has no task yet; send labels first, or state the task.",
            code="task_not_settled",
        )
    if task is Task.REGRESSION:
        raise ResourceConflict(
            "A regression predicts a number; there is nothing to decide.", code="decision_does_not_fit"
        )
    if not isinstance(rule, CostRule):
        if task is not Task.BINARY:
            raise ResourceConflict(
                f"The rule {rule.rule} decides between two classes, and this target is {task}. Use costs.",
                code="decision_does_not_fit",
            )
        return rule.model_dump(mode="json", exclude_none=True)
    if classes is None:
        raise ResourceConflict(
            "The costs are in the order of the target's classes, and no label has named them yet; send labels first.",
            code="task_not_settled",
        )
    named = list(classes) if rule.classes is None else list(rule.classes)
    if len(rule.costs) != len(classes) or {(type(c), c) for c in named} != {(type(c), c) for c in classes}:
        raise ResourceConflict(
            f"The target has {len(classes)} classes, the costs are for {len(rule.costs)}: one row per true class and one "
            "column per decided class, in the order of the target's classes.",
            code="decision_does_not_fit",
        )
    return rule.model_copy(update={"classes": tuple(named)}).model_dump(mode="json")


def scores_of(head: Head) -> ScoreQuantiles | None:
    stored = (head.report or {}).get("score_quantiles")
    return None if stored is None else ScoreQuantiles.from_json(stored)


def _check_champion(rule: DecisionRule, target: Target, champion: Head | None) -> None:
    """Predictions that are served now must not begin to fail."""
    if champion is None or target.classes is None:
        return
    try:
        rule.bind(target.classes, scores_of(champion))
    except InputError as error:
        raise ResourceConflict(
            f"The champion, version {champion.version}, cannot decide like this: {error.message}",
            code=error.code,
        ) from error


def _champion(uow: UnitOfWork, target: Target) -> Head | None:
    alias = uow.aliases.get(target.id, CHAMPION)
    return None if alias is None else uow.heads.get(alias.head_id)
