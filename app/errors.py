"""The error tree of the service, and the one table from every error of the project to an HTTP status.

    ServiceError
    ├── BadRequest            400  not understood: malformed JSON, form or header
    ├── Unauthenticated       401  no key, or one that is not valid (any more)
    ├── Forbidden             403  a valid key without the scope, or a request from a foreign web page
    ├── ResourceNotFound      404  no such thing in the workspace of the key
    ├── MethodRefused         405
    ├── ResourceConflict      409  the thing is not in the state that the request needs
    ├── PreconditionFailed    412  If-Match or If-None-Match does not hold
    ├── TooLarge              413
    ├── WrongContentType      415
    ├── MisdirectedHost       421  a Host header this service does not answer to
    ├── InvalidRequest        422  understood, and refused by a rule
    ├── TooManyRequests       429  with Retry-After
    ├── Unavailable           503  with Retry-After
    └── InsufficientStorage   507

Messages say the rule, what was received (types, lengths, lines, columns; never contents) and what to do next;
they are shown to the caller, except where the status is 500.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from models import errors as model_errors
from storage import errors as storage_errors
from storage.orm.base import JsonObject


class ServiceError(Exception):
    """Root of the errors raised by `app`."""

    default_code = "service_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after_s: float | None = None,
        details: JsonObject | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s
        self.details: JsonObject = details or {}


class BadRequest(ServiceError):
    default_code = "bad_request"


class Unauthenticated(ServiceError):
    default_code = "unauthenticated"


class Forbidden(ServiceError):
    default_code = "forbidden"


class ResourceNotFound(ServiceError):
    default_code = "not_found"


class MethodRefused(ServiceError):
    default_code = "method_not_allowed"


class ResourceConflict(ServiceError):
    default_code = "conflict"


class PreconditionFailed(ServiceError):
    default_code = "precondition_failed"


class TooLarge(ServiceError):
    default_code = "too_large"


class WrongContentType(ServiceError):
    default_code = "unsupported_media_type"


class MisdirectedHost(ServiceError):
    default_code = "host_not_allowed"


class InvalidRequest(ServiceError):
    default_code = "invalid_request"


class TooManyRequests(ServiceError):
    default_code = "too_many_requests"


class Unavailable(ServiceError):
    default_code = "unavailable"


class InsufficientStorage(ServiceError):
    default_code = "insufficient_storage"


STATUS_OF: dict[type[Exception], int] = {
    BadRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    ResourceNotFound: 404,
    MethodRefused: 405,
    ResourceConflict: 409,
    PreconditionFailed: 412,
    TooLarge: 413,
    WrongContentType: 415,
    MisdirectedHost: 421,
    InvalidRequest: 422,
    TooManyRequests: 429,
    Unavailable: 503,
    InsufficientStorage: 507,
    # models
    model_errors.InputError: 422,
    model_errors.BundleError: 500,  # a stored bundle is damaged: nothing the caller sent is at fault
    model_errors.Interrupted: 503,
    # storage
    storage_errors.NotFound: 404,
    storage_errors.Conflict: 409,
    storage_errors.StaleRevision: 412,
    storage_errors.FenceLost: 409,
    storage_errors.InvalidValue: 422,
    storage_errors.ArtifactMissing: 503,  # deleted while it was being read; the next request sees the truth
    storage_errors.ArtifactDamaged: 500,
    storage_errors.StoreUnavailable: 503,
    storage_errors.DatabaseBusy: 503,
    storage_errors.StorageFull: 507,
    storage_errors.SchemaOutOfDate: 503,
}
"""Most derived class wins; a test fails when a class of the three trees is not covered."""

DEFAULT_RETRY_AFTER_S = 1.0
INTERNAL_MESSAGE = (
    "An internal error; it was logged with this error_id. Repeat the request or tell the operator."
)


@dataclass(frozen=True)
class Problem:
    """RFC 9457 problem details, before it becomes a response."""

    status: int
    code: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    details: JsonObject = field(default_factory=dict)

    def body(self) -> JsonObject:
        """`type` is an opaque URN of the code; `details` holds lines, columns, counts and the like."""
        body: JsonObject = {
            "type": f"urn:rootstock:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        return body


def status_of(error: Exception) -> int | None:
    """The status of an error's most derived class in the table; None for one that is not ours."""
    for cls in type(error).__mro__:
        if issubclass(cls, Exception) and cls in STATUS_OF:
            return STATUS_OF[cls]
    return None


def to_problem(error: Exception) -> Problem | None:
    """The problem to answer with; None where the error must be logged and answered as a bare 500."""
    status = status_of(error)
    if status is None or status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    headers: dict[str, str] = {}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        retry_after_s = getattr(error, "retry_after_s", None) or DEFAULT_RETRY_AFTER_S
        headers["Retry-After"] = str(max(1, round(retry_after_s)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="rootstock"'
    details = getattr(error, "details", None) or {}
    return Problem(
        status=status,
        code=str(getattr(error, "code", "error")),
        detail=str(getattr(error, "message", error)),
        headers=headers,
        details={key: value for key, value in details.items() if value is not None},
    )


def internal_problem(error_id: str) -> Problem:
    """What a 500 says: nothing but the id under which it was logged."""
    return Problem(500, "internal_error", INTERNAL_MESSAGE, details={"error_id": error_id})
