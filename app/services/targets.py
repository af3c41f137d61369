"""Create, look at and delete targets."""

from __future__ import annotations

from collections.abc import Collection

from app.errors import InvalidRequest
from app.schemas.principal import Principal
from app.schemas.targets import TargetBody, TargetCreated, TargetDeleted, TargetList, TargetRequest
from app.services.answers import Answer, RepeatableRequest, earlier_answer, make_once
from app.services.artifacts import remove_unreferenced
from app.services.decisions import checked
from app.services.label_counts import LabelCounter
from app.services.lookup import current_schema, encoder_schema, ready_table, table_of, target_of
from app.services.target_labels import LABEL_ROLES, LabelFacts, column_facts
from app.services.views import absent_columns, is_seen_in_pretraining
from models.features.schema import ColumnSchema, TableSchema, Task
from models.features.snapshot import ROWS_FILE, Snapshot
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.errors import Conflict
from storage.orm import Table, Target
from storage.unit_of_work import UnitOfWork

CHAMPION = "champion"
_NO_LABELS = LabelFacts(None, None, {"train": 0, "evaluation": 0, "unmatched": 0, "distinct_train": 0}, [])


class TargetService:
    def __init__(self, database: Database, store: ArtifactStore, counter: LabelCounter) -> None:
        self._database = database
        self._store = store
        self._counter = counter

    def create(
        self, principal: Principal, table_name: str, wanted: TargetRequest, request: RepeatableRequest | None
    ) -> Answer:
        """With a column the task is inferred from its values; without, the labels to come decide.

        Raises: InvalidRequest `unknown_column`, `column_is_no_target`, `no_column_left`, `task_mismatch`; LabelError for
            values that are no labels (all null, one class, too many classes …); Conflict `name_taken`; ResourceConflict
            `task_not_settled`, `decision_does_not_fit`.
        """
        with self._database.reading() as uow:
            earlier = earlier_answer(uow, principal, request)
            if earlier is not None:
                return earlier
            table, snapshot_row = ready_table(uow, principal, table_name)
            schema = current_schema(uow, table)
            taken = any(target.name == wanted.name for target in uow.targets.list(table.id))
        if taken:
            raise Conflict(
                f"The table has a target named {wanted.name!r}; choose another name.", code="name_taken"
            )
        column = _checked_columns(schema, wanted)
        absent = absent_columns(schema, wanted.column, wanted.forbidden_columns)
        _check_columns_left(schema, absent)
        facts = _NO_LABELS
        if column is not None:  # outside the transaction: reads the column, which may be long
            path = bundle_path(self._store, principal.workspace_id, snapshot_row.manifest_digest, ROWS_FILE)
            facts = column_facts(Snapshot(path), schema, column, wanted.task, wanted.positive, absent)
        task = facts.task or wanted.task
        decision = None if wanted.decision is None else checked(wanted.decision, task, facts.classes)

        def make(uow: UnitOfWork) -> Answer:
            is_binary = task is Task.BINARY and facts.classes is not None
            target = uow.targets.add(
                table,
                wanted.name,
                None if task is None else task.value,
                wanted.column,
                facts.classes[-1] if is_binary and facts.classes else wanted.positive,
                facts.classes,
                sorted(set(wanted.forbidden_columns)),
                decision,
            )
            if column is not None:
                uow.label_sets.add(target, "column", snapshot_row.id, None, facts.num_labels, facts.counts)
            uow.audit.add(principal.workspace_id, principal.key_id, "target.create", target.id)
            warnings = [*facts.warnings, *_encoder_warnings(uow, table, column)]
            body = TargetCreated(**_body(uow, target).model_dump(), warnings=warnings)
            return Answer.created(body, f"/v1/tables/{table.name}/targets/{target.name}")

        return make_once(self._database, principal, request, make)

    def list(self, principal: Principal, table_name: str) -> TargetList:
        self._counter.refresh(principal, table_name)
        with self._database.reading() as uow:
            table = table_of(uow, principal, table_name)
            return TargetList(targets=[_body(uow, target) for target in uow.targets.list(table.id)])

    def get(self, principal: Principal, table_name: str, target_name: str) -> TargetBody:
        self._counter.refresh(principal, table_name, [target_name])
        with self._database.reading() as uow:
            _, target = target_of(uow, principal, table_name, target_name)
            return _body(uow, target)

    def delete(self, principal: Principal, table_name: str, target_name: str) -> TargetDeleted:
        """Delete the target with labels, heads and aliases; jobs that make nothing else are cancelled."""
        with self._database.writing() as uow:
            table, target = target_of(uow, principal, table_name, target_name)
            heads = uow.heads.list(target.id)
            num_label_sets = len(uow.label_sets.list(target.id))
            cancelled = _cancel_jobs(uow, principal, table, {head.id for head in heads})
            released = uow.targets.delete(target)
            uow.audit.add(
                principal.workspace_id, principal.key_id, "target.delete", target.id, {"name": target.name}
            )
        num_removed = remove_unreferenced(self._database, self._store, principal.workspace_id, released)
        return TargetDeleted(
            target=target.name,
            heads=len(heads),
            label_sets=num_label_sets,
            cancelled_jobs=cancelled,
            artifacts=num_removed,
        )


def _checked_columns(schema: TableSchema, wanted: TargetRequest) -> ColumnSchema | None:
    """The target's column; every column the request names must exist."""
    named = ([] if wanted.column is None else [wanted.column]) + wanted.forbidden_columns
    unknown = sorted({name for name in named if name not in schema})
    if unknown:
        raise InvalidRequest(
            f"The table has no column {unknown[0]!r}; GET the table for its {len(schema.columns)} columns.",
            code="unknown_column",
            details={"columns": unknown[:20]},
        )
    if wanted.task is Task.REGRESSION and wanted.positive is not None:
        raise InvalidRequest("A regression has no positive class; leave positive out.", code="task_mismatch")
    if wanted.column is None:
        return None
    column = schema[wanted.column]
    if column.role not in LABEL_ROLES:
        raise InvalidRequest(
            f"A column with the role {column.role} cannot be a target; a target is a column with the role target "
            "(unseen in pretraining) or feature.",
            code="column_is_no_target",
            details={"column": column.name},
        )
    return column


def _check_columns_left(schema: TableSchema, absent: Collection[str]) -> None:
    if all(column.name in absent for column in schema.encoded):
        raise InvalidRequest(
            f"None of the table's {len(schema.encoded)} feature columns is left to predict from; forbid fewer columns.",
            code="no_column_left",
        )


def _encoder_warnings(uow: UnitOfWork, table: Table, column: ColumnSchema | None) -> list[str]:
    encoder = None if table.active_encoder_id is None else uow.encoders.get(table.active_encoder_id)
    is_seen = (
        is_seen_in_pretraining(encoder_schema(uow, encoder), column.name)
        if encoder is not None and column is not None
        else column is not None and column.is_encoded
    )
    if not is_seen or column is None:
        return []
    when = f"encoder {encoder.version} was" if encoder is not None else "an encoder trained now would be"
    return [
        f"{when} pretrained with the column {column.name!r} as a feature, so heads of this target are judged on the "
        "hold-out only. For honest out-of-fold metrics give the column the role target and pretrain again."
    ]


def _cancel_jobs(uow: UnitOfWork, principal: Principal, table: Table, head_ids: set[str]) -> list[str]:
    """Cancel unfinished fine-tunes of the table whose heads are all among `head_ids`."""
    cancelled = []
    for status in ("queued", "running"):
        for job in uow.jobs.list(principal.workspace_id, status=status, table_id=table.id, limit=500).items:
            making = {head["head_id"] for head in job.payload.get("heads", [])}
            if job.kind == "finetune" and making <= head_ids:
                uow.jobs.request_cancel(principal.workspace_id, job.id)
                cancelled.append(job.id)
    return cancelled


def _body(uow: UnitOfWork, target: Target) -> TargetBody:
    label_set = uow.label_sets.latest(target.id)
    alias = uow.aliases.get(target.id, CHAMPION)
    champion = None if alias is None else uow.heads.get(alias.head_id)
    return TargetBody.model_validate(
        {
            "name": target.name,
            "id": target.id,
            "task": target.task,
            "classes": target.classes,
            "column": target.column_name,
            "source": "keys" if target.column_name is None else "column",
            "forbidden_columns": target.forbidden_columns,
            "num_labels": 0 if label_set is None else label_set.num_labels,
            "label_counts": {} if label_set is None else label_set.counts,
            "champion": None if champion is None else champion.version,
            "decision": target.decision,
            "created_at": target.created_at,
        }
    )
