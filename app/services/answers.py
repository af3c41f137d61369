"""The answer of a use case that makes something, and the promise that repeating it makes nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.errors import InvalidRequest
from app.schemas.base import AnswerBody
from app.schemas.principal import Principal
from storage.engine import Database
from storage.errors import Conflict
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

KEY_IN_USE = "idempotency_key_in_use"


@dataclass(frozen=True)
class RepeatableRequest:
    """A request that carried an `Idempotency-Key`: `route` is method and path, `sha256` that of what was sent."""

    key: str
    route: str
    sha256: str


@dataclass(frozen=True)
class Answer:
    """Status, headers and JSON body; `is_repeated` for one that an earlier request already got."""

    status: int
    body: JsonObject
    headers: dict[str, str] = field(default_factory=dict)
    is_repeated: bool = False

    @classmethod
    def created(cls, body: AnswerBody, location: str) -> Answer:
        return cls(201, body.model_dump(mode="json"), {"Location": location})

    @classmethod
    def accepted(cls, body: AnswerBody, job_id: str) -> Answer:
        """202; `Location` is the job to follow."""
        return cls(202, body.model_dump(mode="json"), {"Location": f"/v1/jobs/{job_id}"})


def earlier_answer(uow: UnitOfWork, principal: Principal, request: RepeatableRequest | None) -> Answer | None:
    """What the same request got before.

    Raises: InvalidRequest `idempotency_mismatch` when the key was used for another route or body.
    """
    if request is None:
        return None
    stored = uow.idempotency.get(principal.workspace_id, request.key)
    if stored is None:
        return None
    if stored.route != request.route or stored.request_sha256 != request.sha256:
        raise InvalidRequest(
            "This Idempotency-Key was used for another request; use a new key for every new request.",
            code="idempotency_mismatch",
        )
    return Answer(stored.status_code, stored.body, dict(stored.headers), is_repeated=True)


def make_once(
    database: Database,
    principal: Principal,
    request: RepeatableRequest | None,
    make: Callable[[UnitOfWork], Answer],
    *,
    to_store: Callable[[Answer], JsonObject] | None = None,
) -> Answer:
    """Run `make` in one transaction together with the record of its answer.

    Of concurrent repeats one makes it; the others wait for the lock, or lose at the unique key, and read its
    answer. `to_store` gives the body to keep, where it must not be the one that is sent.
    """
    try:
        return _attempt(database, principal, request, make, to_store)
    except Conflict as error:
        if error.code != KEY_IN_USE:
            raise
    return _attempt(database, principal, request, make, to_store)


def _attempt(
    database: Database,
    principal: Principal,
    request: RepeatableRequest | None,
    make: Callable[[UnitOfWork], Answer],
    to_store: Callable[[Answer], JsonObject] | None,
) -> Answer:
    with database.writing() as uow:
        earlier = earlier_answer(uow, principal, request)
        if earlier is not None:
            return earlier
        answer = make(uow)
        if request is not None:
            uow.idempotency.put(
                principal.workspace_id,
                request.key,
                request.route,
                request.sha256,
                answer.status,
                dict(answer.headers),
                answer.body if to_store is None else to_store(answer),
            )
        return answer
