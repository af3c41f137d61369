"""One request with its key, its retries and its errors; knows HTTP, and nothing of tables or heads.

What is sent twice: GET, PUT and DELETE, POSTs that only read (`is_repeatable`), and POSTs that make something,
under an `Idempotency-Key` that stays the same for every attempt. A connection that could not be made is tried
again for every call: nothing was sent.
"""

from __future__ import annotations

import json
import platform
import random
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from rootstock_client.connection import Connection
from rootstock_client.errors import (
    ApiError,
    InvalidArgumentError,
    NotFoundError,
    ServiceUnreachableError,
    UnexpectedResponseError,
    error_from_problem,
)
from rootstock_client.version import __version__

JsonObject = dict[str, Any]
FileParts = list[tuple[str, tuple[str, Any, str]]]
"""Parts of a multipart body: field, and name, content and type of the file."""
Upload = Callable[[ExitStack], FileParts]
"""Opens the files of a multipart body, anew for every attempt; the stack closes them."""

_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_SAFE_METHODS = frozenset({"GET", "PUT", "DELETE"})


@dataclass(frozen=True)
class RetryPolicy:
    """Delays grow from `first_delay_s` by doubling, with jitter; a `Retry-After` of the service replaces them."""

    max_attempts: int = 4
    first_delay_s: float = 0.25
    max_delay_s: float = 8.0
    max_retry_after_s: float = 60.0  # a service that asks for more gets an error instead


class Transport:
    """Shape: path segments and JSON in, parsed JSON out; every failure is a `RootstockError`."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeout_s: float = 60.0,
        retries: RetryPolicy | None = None,
        http: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self._retries = retries or RetryPolicy()
        self._sleep = sleep
        self._jitter = random.Random()
        self._http = httpx.Client(
            base_url=connection.url,
            headers={
                "Authorization": f"Bearer {connection.key}",
                "Accept": "application/json",
                "User-Agent": f"rootstock-client/{__version__} python/{platform.python_version()}",
            },
            timeout=httpx.Timeout(timeout_s, connect=min(5.0, timeout_s)),
            follow_redirects=False,  # the key goes to the address that was given and to no other
            trust_env=not connection.is_loopback,  # a proxy of the environment never sees what stays on this machine
            transport=http,
        )
        weakref.finalize(self, self._http.close)  # a client of a notebook is seldom closed by hand

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        *segments: str | int,
        body: Any = None,
        content: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        upload: Upload | None = None,
        is_repeatable: bool | None = None,
        makes_something: bool = False,
    ) -> httpx.Response:
        """Send until it is answered; returns responses below 400 only.

        Args:
            content: a body that is not JSON; its `Content-Type` is among the headers.
            is_repeatable: whether sending it twice changes nothing; by default GET, PUT and DELETE.
            makes_something: adds an `Idempotency-Key`, which makes a POST repeatable.

        Raises:
            ApiError: the service refused or failed.
            ServiceUnreachableError: no answer.
        """
        sent_headers = dict(headers or {})
        if makes_something:
            sent_headers["Idempotency-Key"] = uuid.uuid4().hex
        if is_repeatable is None:
            is_repeatable = makes_something or method in _SAFE_METHODS
        url = path_of(*segments)
        attempt = 0
        while True:
            attempt += 1
            is_last = attempt >= self._retries.max_attempts
            try:
                with ExitStack() as stack:
                    request = self._http.build_request(
                        method,
                        url,
                        json=body,
                        content=content,
                        params=params,
                        headers=sent_headers,
                        data=fields,
                        files=upload(stack) if upload else None,
                    )
                    response = self._http.send(request)
            except httpx.TransportError as error:
                if is_last or not (is_repeatable or isinstance(error, _NEVER_SENT)):
                    raise self._unreachable(error) from error
                self._sleep(self._delay_s(attempt))
                continue
            except ValueError as error:  # json.dumps(allow_nan=False)
                raise InvalidArgumentError(f"the request cannot be written as JSON: {error}") from error
            if response.is_success:
                return response
            problem = api_error(response)
            if method == "DELETE" and attempt > 1 and isinstance(problem, NotFoundError):
                return response  # the attempt whose answer was lost had deleted it
            delay_s = self._retry_delay_s(problem, attempt)
            if is_last or not is_repeatable or delay_s is None:
                raise problem
            self._sleep(delay_s)

    @contextmanager
    def stream(
        self, *segments: str | int, headers: Mapping[str, str], read_timeout_s: float
    ) -> Iterator[Iterator[str]]:
        """Lines of a long GET as they arrive; one attempt.

        Raises:
            ApiError, ServiceUnreachableError: also while the lines are read.
        """
        timeout = httpx.Timeout(read_timeout_s, connect=min(5.0, read_timeout_s))
        try:
            with self._http.stream(
                "GET", path_of(*segments), headers=dict(headers), timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    raise api_error(response)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise UnexpectedResponseError("expected a stream of events (text/event-stream)")
                yield response.iter_lines()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _retry_delay_s(self, problem: ApiError, attempt: int) -> float | None:
        """Seconds until the next attempt; None where another one is pointless."""
        if problem.status not in _RETRIED_STATUSES:
            return None
        if problem.retry_after_s is None:
            return self._delay_s(attempt)
        return problem.retry_after_s if problem.retry_after_s <= self._retries.max_retry_after_s else None

    def _delay_s(self, attempt: int) -> float:
        delay_s = min(self._retries.first_delay_s * 2.0 ** (attempt - 1), self._retries.max_delay_s)
        return delay_s * self._jitter.uniform(0.5, 1.0)

    def _unreachable(self, error: httpx.TransportError) -> ServiceUnreachableError:
        url = self.connection.url
        if isinstance(error, _NEVER_SENT):
            return ServiceUnreachableError(
                f"no service answers at {url}: start one with `rootstock serve`, or check the address"
            )
        what = (
            "did not answer in time" if isinstance(error, httpx.TimeoutException) else "closed the connection"
        )
        return ServiceUnreachableError(
            f"the service at {url} {what} ({type(error).__name__}); what was asked may have happened"
        )


def path_of(*segments: str | int) -> str:
    """`/v1/…` with every segment quoted.

    Raises:
        InvalidArgumentError: a segment that would address something else (empty, `.` or `..`).
    """
    quoted = []
    for segment in segments:
        text = str(segment)
        if text in {"", ".", ".."}:
            raise InvalidArgumentError(
                "a name is at least one character and not `.` or `..`", code="invalid_name"
            )
        quoted.append(quote(text, safe=""))
    return "/".join(["/v1", *quoted])


def json_object(response: httpx.Response) -> JsonObject:
    """Raises:
    UnexpectedResponseError: the body is no JSON object.
    """
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        kind = response.headers.get("content-type", "no content type")
        raise UnexpectedResponseError(
            f"expected a JSON object; received {len(response.content)} bytes of {kind} with status {response.status_code}: "
            "is this the address of a Rootstock service?"
        )
    return body


def api_error(response: httpx.Response) -> ApiError:
    """The error of an answer that is no success, whoever gave it (a proxy sends no problem body).

    Raises:
        UnexpectedResponseError: a redirect, which no Rootstock service sends.
    """
    if response.status_code < 400:
        raise UnexpectedResponseError(
            f"the address answered {response.status_code} (redirect or no content): give the address of the service itself"
        )
    try:
        problem = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        problem = None
    if not isinstance(problem, dict):
        kind = response.headers.get("content-type", "no content type")
        problem = {
            "detail": f"the address answered {response.status_code} with {len(response.content)} bytes of {kind}"
        }
    return error_from_problem(
        response.status_code, problem, retry_after_s(response.headers.get("retry-after"))
    )


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header, which is a number or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
