"""Put rewritten files in the place of what a snapshot, label set, encoder or head had; receipts of erasures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select

from storage.errors import NotFound
from storage.orm import Artifact, Audit, Encoder, Head, Idempotency, LabelSet, Snapshot, Target
from storage.orm.base import JsonObject
from storage.repositories.base import Repository

_KINDS: dict[str, type[Snapshot | LabelSet | Encoder | Head]] = {
    "snapshot": Snapshot,
    "label_set": LabelSet,
    "encoder": Encoder,
    "head": Head,
}
RECEIPT = "table.erased"  # action of an audit entry whose details are the receipt


class ErasureRepository(Repository):
    def lock_targets(self, table_id: str) -> None:
        """Hold off new versions of labels and heads of the table until the end of the transaction."""
        query = select(Target).where(Target.table_id == table_id).order_by(Target.id)
        self._session.scalars(query.with_for_update().execution_options(populate_existing=True)).all()

    def release(self, owner_ids: Sequence[str]) -> dict[str, int]:
        """Drop the references of these owners; what nothing else refers to, with its bytes."""
        query = select(Artifact.digest, Artifact.num_bytes).where(Artifact.owner_id.in_(owner_ids))
        num_bytes = {row.digest: row.num_bytes for row in self._session.execute(query)}
        return {digest: num_bytes[digest] for digest in self._release_artifacts(owner_ids)}

    def swap(self, kind: str, row_id: str, values: Mapping[str, Any]) -> None:
        """Change columns of a version that are fixed otherwise. Raises NotFound."""
        row = self._lock_or_raise(_KINDS[kind], row_id)
        for name, value in values.items():
            setattr(row, name, value)
        self._session.flush()
        self._catalog_changed()

    def forget_answers(self, workspace_id: str, job_id: str) -> int:
        """Forget the stored answer to the request that made the job, and with it the hash of that request."""
        statement = delete(Idempotency).where(
            Idempotency.workspace_id == workspace_id,
            Idempotency.headers == {"Location": f"/v1/jobs/{job_id}"},
        )
        return cast("CursorResult[Any]", self._session.execute(statement)).rowcount

    def receipts(self, workspace_id: str, table_id: str) -> list[Audit]:
        """Receipts of a table, newest first."""
        query = select(Audit).where(
            Audit.workspace_id == workspace_id,
            Audit.action == RECEIPT,
            Audit.subject.startswith(f"{table_id}/", autoescape=True),
        )
        return list(self._session.scalars(query.order_by(Audit.at.desc(), Audit.id.desc())))

    def receipt(self, workspace_id: str, table_id: str, job_id: str) -> Audit | None:
        query = select(Audit).where(
            Audit.workspace_id == workspace_id,
            Audit.action == RECEIPT,
            Audit.subject == f"{table_id}/{job_id}",
        )
        return self._session.scalars(query).one_or_none()

    def all_receipts(self) -> list[Audit]:
        """Of all workspaces: for housekeeping, never for a request."""
        return list(self._session.scalars(select(Audit).where(Audit.action == RECEIPT)))

    def update_receipt(self, audit_id: str, changes: JsonObject) -> Audit:
        """Raises NotFound (receipt_not_found)."""
        entry = self._lock(Audit, audit_id)
        if entry is None:
            raise NotFound("This receipt does not exist (any more).", code="receipt_not_found")
        entry.details = {**entry.details, **changes}
        self._session.flush()
        return entry
