"""Move, roll back and read the aliases of a target."""

from __future__ import annotations

from app.errors import PreconditionFailed
from app.schemas.heads import AliasBody, AliasDeleted, AliasHistoryBody, AliasList, AliasMove
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, make_once
from app.services.lookup import target_of
from storage.engine import Database
from storage.errors import NotFound, StaleRevision
from storage.orm import Alias, Target
from storage.unit_of_work import UnitOfWork


class AliasService:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, principal: Principal, table: str, target: str) -> AliasList:
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            return AliasList(aliases=[_body(uow, row, alias) for alias in uow.aliases.list(row.id)])

    def get(self, principal: Principal, table: str, target: str, name: str) -> AliasBody:
        """Raises: NotFound `alias_not_found`."""
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            alias = uow.aliases.get(row.id, name)
            if alias is None:
                raise NotFound(f"There is no alias {name!r} here.", code="alias_not_found")
            return _body(uow, row, alias)

    def move(
        self,
        principal: Principal,
        table: str,
        target: str,
        name: str,
        version: int,
        expected_revision: int | None,
    ) -> AliasBody:
        """Point the alias at a ready version; `expected_revision` 0 means that it must not exist yet.

        Raises: NotFound `head_not_found`; Conflict `head_not_ready`; PreconditionFailed `stale_revision`.
        """
        with self._database.writing() as uow:
            _, row = target_of(uow, principal, table, target)
            head = uow.heads.by_version(row.id, version)
            try:
                alias = uow.aliases.move(
                    row.id, name, head, expected_revision=expected_revision, actor=principal.key_id
                )
            except StaleRevision as error:
                raise _moved_meanwhile(error) from None
            uow.audit.add(
                principal.workspace_id,
                principal.key_id,
                "alias.move",
                row.id,
                {"alias": name, "version": version},
            )
            return _body(uow, row, alias)

    def rollback(
        self,
        principal: Principal,
        table: str,
        target: str,
        name: str,
        expected_revision: int | None,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Point the alias at the version it had before; a repeat under one key goes back once.

        Raises: Conflict `nothing_to_roll_back`; as `move`.
        """

        def make(uow: UnitOfWork) -> Answer:
            _, row = target_of(uow, principal, table, target)
            try:
                alias = uow.aliases.rollback(
                    row.id, name, principal.key_id, expected_revision=expected_revision
                )
            except StaleRevision as error:
                raise _moved_meanwhile(error) from None
            uow.audit.add(principal.workspace_id, principal.key_id, "alias.rollback", row.id, {"alias": name})
            body = _body(uow, row, alias)
            return Answer(200, body.model_dump(mode="json"), {"ETag": f'"{body.revision}"'})

        return make_once(self._database, principal, request, make)

    def delete(
        self, principal: Principal, table: str, target: str, name: str, expected_revision: int | None
    ) -> AliasDeleted:
        """Remove the alias; without `champion` a target is served by version only.

        Raises: NotFound `alias_not_found`; PreconditionFailed `stale_revision`.
        """
        with self._database.writing() as uow:
            _, row = target_of(uow, principal, table, target)
            try:
                entry = uow.aliases.delete(
                    row.id, name, principal.key_id, expected_revision=expected_revision
                )
            except StaleRevision as error:
                raise _moved_meanwhile(error) from None
            uow.audit.add(principal.workspace_id, principal.key_id, "alias.delete", row.id, {"alias": name})
            return AliasDeleted(
                name=name,
                target=row.name,
                previous_version=entry.previous_head_version,
                revision=entry.revision,
            )

    def history(self, principal: Principal, table: str, target: str, name: str) -> AliasHistoryBody:
        """All moves, newest first. Raises: NotFound `alias_not_found`."""
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            moves = uow.aliases.history(row.id, name)
            if not moves:
                raise NotFound(f"There is no alias {name!r} here.", code="alias_not_found")
        entries = [
            AliasMove.model_validate(
                {
                    "revision": move.revision,
                    "version": move.head_version or None,
                    "previous_version": move.previous_head_version,
                    "action": move.action,
                    "actor": move.actor,
                    "at": move.at,
                }
            )
            for move in moves
        ]
        return AliasHistoryBody(name=name, target=target, history=entries)


def _moved_meanwhile(error: StaleRevision) -> PreconditionFailed:
    return PreconditionFailed(error.message, code="stale_revision", details=dict(error.details))


def _body(uow: UnitOfWork, target: Target, alias: Alias) -> AliasBody:
    head = uow.heads.get(alias.head_id)
    return AliasBody.model_validate(
        {
            "name": alias.name,
            "target": target.name,
            "version": 0 if head is None else head.version,
            "revision": alias.revision,
            "updated_at": alias.updated_at,
        }
    )
