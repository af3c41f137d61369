"""API keys: made, listed, revoked. Of a secret only the SHA-256 is kept; it has 256 random bits, so no salt or
slow hash would add anything."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime

from app.errors import Forbidden, InvalidRequest, ResourceConflict
from app.schemas.keys import KeyBody, KeyCreated, KeyList, KeyRequest
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest, make_once
from storage.engine import Database
from storage.orm import ApiKey
from storage.unit_of_work import UnitOfWork

_KEY = re.compile(r"rs_([a-z0-9]{16})_([a-z0-9]{64})")


def parse_key(text: str) -> tuple[str, str] | None:
    """(public id, secret) of `rs_<public id>_<secret>`; None for any other form."""
    match = _KEY.fullmatch(text)
    return None if match is None else (match[1], match[2])


def secret_digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def mint_key(
    uow: UnitOfWork, workspace_id: str, name: str, scopes: list[str], expires_at: float | None
) -> tuple[ApiKey, str]:
    """A new row and the only copy of the key's text."""
    public_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    row = uow.keys.add(workspace_id, name, secret_digest(secret), scopes, expires_at, public_id=public_id)
    return row, f"rs_{public_id}_{secret}"


def add_chosen_key(uow: UnitOfWork, workspace_id: str, name: str, text: str) -> None:
    """Add an admin key whose text was made elsewhere, unless its public id was ever used.

    Raises: InvalidRequest `invalid_admin_key`.
    """
    parsed = parse_key(text)
    if parsed is None:
        raise InvalidRequest(
            "The chosen admin key must be rs_, 16 hex digits, _ and 64 random hex digits; received a text of "
            f"{len(text)} characters. `openssl rand -hex 8` and `openssl rand -hex 32` make the two parts.",
            code="invalid_admin_key",
        )
    public_id, secret = parsed
    if uow.keys.get(public_id) is None:
        uow.keys.add(workspace_id, name, secret_digest(secret), ["admin"], None, public_id=public_id)


class KeyService:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, principal: Principal) -> KeyList:
        with self._database.reading() as uow:
            now = uow.now()
            return KeyList(keys=[_body(row, now) for row in uow.keys.list(principal.workspace_id)])

    def create(self, principal: Principal, wanted: KeyRequest, request: RepeatableRequest | None) -> Answer:
        """Raises: Forbidden `scope_exceeds_yours`, InvalidRequest `expires_in_the_past`."""
        beyond = sorted(scope for scope in wanted.scopes if not principal.may(scope))
        if beyond:
            raise Forbidden(
                f"A key cannot give scopes it does not have: {', '.join(beyond)}.", code="scope_exceeds_yours"
            )

        def make(uow: UnitOfWork) -> Answer:
            now = uow.now()
            expires_at = _timestamp(wanted.expires_at)
            if expires_at is not None and expires_at <= now:
                raise InvalidRequest("expires_at lies in the past.", code="expires_in_the_past")
            scopes = sorted(set(wanted.scopes))
            row, text = mint_key(uow, principal.workspace_id, wanted.name, list(scopes), expires_at)
            uow.audit.add(principal.workspace_id, principal.key_id, "key.create", row.id, {"scopes": scopes})
            body = KeyCreated(key=text, **_body(row, now).model_dump())
            return Answer.created(body, f"/v1/keys/{row.id}")

        return make_once(
            self._database, principal, request, make, to_store=lambda answer: {**answer.body, "key": None}
        )

    def revoke(self, principal: Principal, key_id: str) -> KeyBody:
        """Raises: NotFound; ResourceConflict `last_admin_key`, which would lock everybody out."""
        with self._database.writing() as uow:
            now = uow.now()
            row = uow.keys.revoke(principal.workspace_id, key_id)
            others = uow.keys.list(principal.workspace_id)
            if "admin" in row.scopes and not any(
                _is_live(key, now) and "admin" in key.scopes for key in others
            ):
                raise ResourceConflict(
                    "This is the last live key with the scope admin; make another one first.",
                    code="last_admin_key",
                )
            uow.audit.add(principal.workspace_id, principal.key_id, "key.revoke", row.id)
            return _body(row, now)


def _timestamp(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


def _is_live(key: ApiKey, now: float) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _body(key: ApiKey, now: float) -> KeyBody:
    status = "revoked" if key.revoked_at is not None else "live" if _is_live(key, now) else "expired"
    return KeyBody.model_validate(
        {
            "id": key.id,
            "name": key.name,
            "prefix": f"rs_{key.id}",
            "scopes": key.scopes,
            "status": status,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
        }
    )
