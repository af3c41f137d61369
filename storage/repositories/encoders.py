"""Encoder versions of a table."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import delete, select

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import Encoder, Head, Snapshot, Table, Target
from storage.orm.base import JsonObject
from storage.repositories.base import MAX_VERSION, Repository

MOST_NAMED = 20


class EncoderRepository(Repository):
    def add(
        self,
        table: Table,
        snapshot_id: str,
        schema_version: int,
        architecture: JsonObject,
        objectives: Sequence[JsonObject],
        job_id: str | None,
    ) -> Encoder:
        """The table's next encoder version, in status `pretraining`.

        Raises:
            NotFound: table_not_found.
            Conflict: snapshot_missing.
        """
        current = self._lock_or_raise(Table, table.id)
        if self._session.get(Snapshot, snapshot_id) is None:
            raise Conflict("The snapshot to pretrain on does not exist.", code="snapshot_missing")
        current.last_encoder_version += 1
        encoder = Encoder(
            id=new_id("enc"),
            table_id=current.id,
            version=current.last_encoder_version,
            status="pretraining",
            snapshot_id=snapshot_id,
            schema_version=schema_version,
            architecture=architecture,
            objectives=builtins.list(objectives),
            job_id=job_id,
            created_at=self._now(),
        )
        self._session.add(encoder)
        self._session.flush()
        return encoder

    def get(self, encoder_id: str) -> Encoder | None:
        return self._session.get(Encoder, encoder_id)

    def by_version(self, table_id: str, version: int) -> Encoder:
        """Raises NotFound (encoder_not_found)."""
        found: Encoder | None = None
        if 0 < version <= MAX_VERSION:
            query = select(Encoder).where(Encoder.table_id == table_id, Encoder.version == version)
            found = self._session.scalars(query).one_or_none()
        if found is None:
            raise self._not_found("encoder", version)
        return found

    def list(self, table_id: str) -> builtins.list[Encoder]:
        """All versions, newest first."""
        query = select(Encoder).where(Encoder.table_id == table_id)
        return builtins.list(self._session.scalars(query.order_by(Encoder.version.desc())))

    def publish(self, encoder_id: str, manifest_digest: str, num_bytes: int, report: JsonObject) -> Encoder:
        """`pretraining` becomes `ready`; at most once.

        Raises:
            NotFound: encoder_not_found.
            Conflict: encoder_not_pretraining.
        """
        encoder = self._lock_or_raise(Encoder, encoder_id)
        if encoder.status != "pretraining":
            raise Conflict(
                f"Only an encoder in pretraining can be published; version {encoder.version} is {encoder.status}.",
                code="encoder_not_pretraining",
            )
        encoder.status = "ready"
        encoder.manifest_digest = manifest_digest
        encoder.num_bytes = num_bytes
        encoder.report = report
        encoder.ready_at = self._now()
        self._session.flush()
        self._catalog_changed()
        return encoder

    def mark_failed(
        self, encoder_id: str, status: Literal["failed", "cancelled"], error: JsonObject | None
    ) -> Encoder | None:
        """`pretraining` becomes `failed` or `cancelled`; a finished version stays as it is; None if it is gone."""
        encoder = self._lock(Encoder, encoder_id)
        if encoder is not None and encoder.status == "pretraining":
            encoder.status = status
            encoder.error = error
            self._session.flush()
        return encoder

    def delete(self, encoder: Encoder) -> builtins.list[str]:
        """Delete an encoder version and the failed heads that were to stand on it; its number is not used again.

        Nothing happens if it is gone already. Returns the digests that nothing refers to any more.

        Raises:
            Conflict: encoder_in_use, while it is the active one or a head that is ready or in training is pinned to it;
                encoder_in_pretraining.
        """
        table = self._lock(Table, encoder.table_id)  # an activation locks it too
        current = self._lock(Encoder, encoder.id)  # who pins a head to it holds it
        if table is None or current is None:
            return []
        if current.status == "pretraining":
            raise Conflict(
                f"Encoder {current.version} is in pretraining; cancel its job first.",
                code="encoder_in_pretraining",
            )
        if table.active_encoder_id == current.id:
            raise Conflict(
                f"Encoder {current.version} is the active one; activate another version first.",
                code="encoder_in_use",
            )
        self._refuse_pinned(current)
        failed = select(Head.id).where(Head.encoder_id == current.id)
        released = self._release_artifacts([current.id, *self._session.scalars(failed)])
        self._session.execute(
            delete(Head).where(Head.encoder_id == current.id).execution_options(synchronize_session=False)
        )
        self._session.delete(current)
        self._session.flush()
        self._catalog_changed()
        return released

    def _refuse_pinned(self, encoder: Encoder) -> None:
        query = (
            select(Target.name, Head.version)
            .join(Target, Target.id == Head.target_id)
            .where(Head.encoder_id == encoder.id, Head.status.in_(("ready", "training")))
            .order_by(Target.name, Head.version)
        )
        pinned = [f"{name}:{version}" for name, version in self._session.execute(query)]
        if pinned:
            more = f" and {len(pinned) - MOST_NAMED} more" if len(pinned) > MOST_NAMED else ""
            raise Conflict(
                f"{len(pinned)} heads are pinned to encoder {encoder.version}: {', '.join(pinned[:MOST_NAMED])}{more}. "
                "Delete them first, or keep the encoder: predictions of these heads need it.",
                code="encoder_in_use",
                heads=", ".join(pinned),
            )
