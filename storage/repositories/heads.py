"""Head versions of a target."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import select

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import Alias, Encoder, Head, LabelSet, Target
from storage.orm.base import JsonObject
from storage.repositories.base import MAX_VERSION, Repository


@dataclass(frozen=True, slots=True)
class PinnedHead:
    """A head version as its encoder sees it; `aliases` by name."""

    encoder_id: str
    target: str
    version: int
    status: str
    aliases: tuple[str, ...]


class HeadRepository(Repository):
    def add(
        self,
        target: Target,
        kind: str,
        config: JsonObject,
        encoder_id: str,
        label_set_id: str,
        labels_request: JsonObject,
        view: Sequence[str],
        seen_in_pretraining: bool,
        job_id: str | None,
        refit_of_id: str | None = None,
    ) -> Head:
        """The target's next head version, in status `training`.

        Raises:
            NotFound: target_not_found.
            Conflict: head_parent_missing, when encoder or label set are gone.
        """
        current = self._lock_or_raise(Target, target.id)
        # The encoder is held: a deletion of it either sees this head or comes first and leaves nothing to pin to.
        encoder = self._session.get(
            Encoder, encoder_id, with_for_update={"read": True, "key_share": True}, populate_existing=True
        )
        if encoder is None or self._session.get(LabelSet, label_set_id) is None:
            raise Conflict(
                "The encoder or the label set of this head does not exist.", code="head_parent_missing"
            )
        current.last_head_version += 1
        head = Head(
            id=new_id("head"),
            target_id=current.id,
            version=current.last_head_version,
            status="training",
            kind=kind,
            config=config,
            encoder_id=encoder_id,
            label_set_id=label_set_id,
            labels_request=labels_request,
            view=sorted(view),
            seen_in_pretraining=seen_in_pretraining,
            job_id=job_id,
            created_at=self._now(),
            refit_of_id=refit_of_id,
        )
        self._session.add(head)
        self._session.flush()
        return head

    def by_version(self, target_id: str, version: int) -> Head:
        """Raises NotFound (head_not_found)."""
        found: Head | None = None
        if 0 < version <= MAX_VERSION:
            query = select(Head).where(Head.target_id == target_id, Head.version == version)
            found = self._session.scalars(query).one_or_none()
        if found is None:
            raise self._not_found("head", version)
        return found

    def get(self, head_id: str) -> Head | None:
        return self._session.get(Head, head_id)

    def list(self, target_id: str) -> builtins.list[Head]:
        """All versions, newest first."""
        query = select(Head).where(Head.target_id == target_id)
        return builtins.list(self._session.scalars(query.order_by(Head.version.desc())))

    def pinned(self, table_id: str, encoder_id: str | None = None) -> builtins.list[PinnedHead]:
        """Heads of the table's targets with the encoder each is pinned to; by target and version."""
        query = (
            select(Head.encoder_id, Target.name, Head.version, Head.status, Alias.name)
            .join(Target, Target.id == Head.target_id)
            .outerjoin(Alias, Alias.head_id == Head.id)
            .where(Target.table_id == table_id)
            .order_by(Target.name, Head.version, Alias.name)
        )
        if encoder_id is not None:
            query = query.where(Head.encoder_id == encoder_id)
        found: dict[tuple[str, int], PinnedHead] = {}
        for encoder, target, version, status, alias in self._session.execute(query):
            head = found.setdefault((target, version), PinnedHead(encoder, target, version, status, ()))
            if alias is not None:
                found[target, version] = replace(head, aliases=(*head.aliases, alias))
        return builtins.list(found.values())

    def publish(
        self,
        head_id: str,
        manifest_digest: str,
        num_bytes: int,
        metrics: JsonObject,
        baselines: JsonObject,
        verdict: str,
        report: JsonObject,
        kind: str,
    ) -> Head:
        """`training` becomes `ready`, at most once; `kind` is what `auto` came to.

        Raises:
            NotFound: head_not_found.
            Conflict: head_not_training.
        """
        head = self._lock_or_raise(Head, head_id)
        if head.status != "training":
            raise Conflict(
                f"Only a head in training can be published; version {head.version} is {head.status}.",
                code="head_not_training",
            )
        head.status = "ready"
        head.kind = kind
        head.manifest_digest = manifest_digest
        head.num_bytes = num_bytes
        head.metrics = metrics
        head.baselines = baselines
        head.verdict = verdict
        head.report = report
        head.ready_at = self._now()
        self._session.flush()
        self._catalog_changed()
        return head

    def mark_failed(
        self, head_id: str, status: Literal["failed", "cancelled"], error: JsonObject | None
    ) -> Head | None:
        """`training` becomes `failed` or `cancelled`; a finished version stays as it is; None if it is gone."""
        head = self._lock(Head, head_id)
        if head is not None and head.status == "training":
            head.status = status
            head.error = error
            self._session.flush()
        return head

    def delete(self, head: Head) -> builtins.list[str]:
        """Delete a head version; its number is not used again.

        Nothing happens if it is gone already. Returns the digests that nothing refers to any more.

        Raises:
            Conflict: head_in_use, while an alias points at it; head_in_training.
        """
        self._lock(Target, head.target_id)  # moves of the target's aliases lock it too
        current = self._lock(Head, head.id)
        if current is None:
            return []
        aliases = self._session.scalars(
            select(Alias.name).where(Alias.head_id == current.id).order_by(Alias.name)
        ).all()
        if aliases:
            raise Conflict(
                f"Version {current.version} serves as {', '.join(aliases)}; move the alias first.",
                code="head_in_use",
            )
        if current.status == "training":
            raise Conflict(
                f"Version {current.version} is in training; cancel its job first.", code="head_in_training"
            )
        released = self._release_artifacts([current.id])
        self._session.delete(current)
        self._session.flush()
        self._catalog_changed()
        return released
