"""What every request passes first: known host, own origin, bounded body; and what every answer carries.

The Host and Origin checks keep a web page from talking to a service on localhost (DNS rebinding, form posts);
the key alone does not, because errors and timing of an unauthenticated answer already tell a page something.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Forbidden, MisdirectedHost, ServiceError, TooLarge, to_problem
from app.routes.edge.metrics import HttpMetrics
from app.routes.edge.problems import internal_response, problem_response, route_template
from app.settings import LOOPBACK_HOSTS, MIB, Settings

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
MULTIPART_OVERHEAD_BYTES = MIB  # form fields and part headers around the file
DRAIN_S = 5.0
_ANY_ADDRESS = ("0.0.0.0", "::", "[::]", "")


@dataclass(frozen=True)
class GateRules:
    """Hosts and origins in lower case; `*.example.com` in hosts stands for every subdomain."""

    hosts: frozenset[str]
    origins: frozenset[str]
    max_body_bytes: int
    max_upload_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> GateRules:
        own = () if settings.host in _ANY_ADDRESS else (settings.host.lower(),)
        return cls(
            hosts=frozenset((*LOOPBACK_HOSTS, *own, *settings.allowed_hosts)),
            origins=frozenset(settings.allowed_origins),
            max_body_bytes=settings.max_body_bytes,
            max_upload_bytes=settings.max_upload_bytes + MULTIPART_OVERHEAD_BYTES,
        )

    def check(self, headers: Headers) -> None:
        """Raises: MisdirectedHost, Forbidden `origin_refused`."""
        named = [value.lower() for value in headers.getlist("host")]
        if len(named) != 1 or not self._answers_to(_without_port(named[0])):
            raise MisdirectedHost(
                "This service does not answer to that Host header; an operator can add it to ROOTSTOCK_ALLOWED_HOSTS."
            )
        for origin in headers.getlist("origin"):
            _, _, address = origin.lower().partition("://")
            if address != named[0] and origin.lower() not in self.origins:
                raise Forbidden(
                    "Requests from web pages of another origin are refused; an operator can add the origin to "
                    "ROOTSTOCK_ALLOWED_ORIGINS.",
                    code="origin_refused",
                )

    def _answers_to(self, host: str) -> bool:
        if host in self.hosts:
            return True
        _, dot, parent = host.partition(".")
        while dot:
            if f"*.{parent}" in self.hosts:
                return True
            _, dot, parent = parent.partition(".")
        return False

    def max_bytes(self, headers: Headers) -> int:
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        return self.max_upload_bytes if is_form else self.max_body_bytes


def _without_port(host: str) -> str:
    """`[::1]:80` -> `[::1]`, `localhost:80` -> `localhost`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


class BoundedBody:
    """A request's body, no larger than `max_bytes`, of which the rest is taken in when nobody wants it."""

    def __init__(self, receive: Receive, headers: Headers, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        declared = headers.get("content-length", "")
        self._declared_bytes = int(declared) if declared.isdigit() else 0
        self._num_bytes = 0
        # A client that waits for "100 Continue" has sent nothing yet.
        self._is_coming = "expect" not in headers and (
            self._declared_bytes > 0 or "transfer-encoding" in headers
        )

    async def receive(self) -> Message:
        """Raises: TooLarge as soon as the body is, or says it will be, too large."""
        if self._declared_bytes > self._max_bytes:
            raise self._refusal()
        message = await self._receive()
        if message["type"] == "http.request":
            self._num_bytes += len(message.get("body", b""))
        self._is_coming = bool(message.get("more_body", False))
        if self._num_bytes > self._max_bytes:
            raise self._refusal()
        return message

    async def drain(self) -> None:
        """Read what the client is still sending, for a while: closing at once would reset the connection, and the
        client might never see the answer that says why."""
        with anyio.move_on_after(DRAIN_S):
            while self._is_coming:
                self._is_coming = bool((await self._receive()).get("more_body", False))

    @property
    def is_coming(self) -> bool:
        return self._is_coming

    def _refusal(self) -> TooLarge:
        return TooLarge(
            f"The body is larger than the {self._max_bytes:,} bytes this route takes.",
            code="body_too_large",
            details={"max_bytes": self._max_bytes},
        )


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, rules: GateRules, metrics: HttpMetrics) -> None:
        self._app = app
        self._rules = rules
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:  # there are no websocket routes
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at = time.perf_counter()
        status: int | None = None
        request_id = secrets.token_hex(8)
        headers = Headers(scope=scope)
        body = BoundedBody(receive, headers, self._rules.max_bytes(headers))

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)
                answered["X-Request-Id"] = request_id
            elif body.is_coming and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await body.drain()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        try:
            self._rules.check(headers)
            await self._app(scope, body.receive, send_with_headers)
        except ClientDisconnect:
            pass  # nobody is left to answer
        except ServiceError as error:
            problem = to_problem(error)
            response = internal_response(scope, error) if problem is None else problem_response(problem)
            if status is None:
                await response(scope, receive, send_with_headers)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        # The edge: nothing above may answer or log what the exception quotes. A panic of a library in Rust (polars) is no
        # `Exception`; the server would answer it as plain text.
        except BaseException as error:
            response = internal_response(scope, error)
            if status is None:
                await response(scope, receive, send_with_headers)
        finally:
            self._metrics.answered(
                scope["method"], route_template(scope), status or 0, time.perf_counter() - started_at
            )
