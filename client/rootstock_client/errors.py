"""The error tree of the client.

    RootstockError
    ├── ConfigurationError          no usable address or key; nothing was sent
    ├── InvalidArgumentError        what was passed to the client cannot be sent; nothing was sent
    ├── ServiceUnreachableError     refused, timed out or dropped; for calls that change something the outcome is unknown
    ├── UnexpectedResponseError     an answer that no Rootstock service gives (a proxy's page, another program)
    ├── ApiError                    the service answered with a problem (RFC 9457): status, code, detail
    │   ├── InvalidRequestError     400 413 415 422   the request is at fault
    │   ├── AuthenticationError     401               no key, or a wrong, expired or revoked one
    │   ├── AccessDeniedError       403               the key lacks the scope
    │   ├── NotFoundError           404
    │   ├── ConflictError           409               a name is taken, a version is in use …
    │   ├── StaleRevisionError      412               somebody else moved the alias in the meantime
    │   ├── TooManyRequestsError    429               retry_after_s says when to come back
    │   ├── ServiceUnavailableError 503               the same
    │   └── ServiceFailedError      other 5xx         a fault of the service
    └── JobError                    a job that did not succeed; carries the job
        ├── JobFailed               `code` and message of the job's error
        ├── JobCancelled
        └── JobTimeout              it did not end in the time given to `wait`; it goes on

Every error has a `code` (stable, snake_case) and a sentence that can be shown to the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rootstock_client.jobs import Job


class RootstockError(Exception):
    """Root of every error raised by the client."""

    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class ConfigurationError(RootstockError):
    default_code = "not_configured"


class InvalidArgumentError(RootstockError, ValueError):
    default_code = "invalid_argument"


class ServiceUnreachableError(RootstockError):
    default_code = "service_unreachable"


class UnexpectedResponseError(RootstockError):
    default_code = "unexpected_response"


class ApiError(RootstockError):
    """An answer of the service with status 4xx or 5xx; `problem` is its body as sent."""

    default_code = "api_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int,
        problem: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.problem: Mapping[str, Any] = problem or {}
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.code})"


class InvalidRequestError(ApiError): ...


class AuthenticationError(ApiError): ...


class AccessDeniedError(ApiError): ...


class NotFoundError(ApiError): ...


class ConflictError(ApiError): ...


class StaleRevisionError(ApiError): ...


class TooManyRequestsError(ApiError): ...


class ServiceUnavailableError(ApiError): ...


class ServiceFailedError(ApiError): ...


ERROR_OF_STATUS: Mapping[int, type[ApiError]] = {
    401: AuthenticationError,
    403: AccessDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: StaleRevisionError,
    429: TooManyRequestsError,
    503: ServiceUnavailableError,
}
"""Classes of the statuses that mean one thing; other 4xx are InvalidRequestError, other 5xx ServiceFailedError."""


class JobError(RootstockError):
    default_code = "job_error"

    def __init__(self, message: str, *, job: Job, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.job = job

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class JobFailed(JobError):
    default_code = "job_failed"


class JobCancelled(JobError):
    default_code = "job_cancelled"


class JobTimeout(JobError):
    default_code = "job_timeout"


def error_from_problem(status: int, problem: Mapping[str, Any], retry_after_s: float | None) -> ApiError:
    """The error that a problem body (`application/problem+json`) stands for."""
    kind = ERROR_OF_STATUS.get(status, InvalidRequestError if status < 500 else ServiceFailedError)
    detail = problem.get("detail") or problem.get("title") or f"the service answered {status}"
    code = problem.get("code")
    return kind(
        str(detail),
        code=code if isinstance(code, str) else f"http_{status}",
        status=status,
        problem=problem,
        retry_after_s=retry_after_s,
    )
