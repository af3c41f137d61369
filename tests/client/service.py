"""A service of a few prepared answers, and what it was asked; for the wire shapes of the client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from email import message_from_bytes
from email.message import Message
from typing import Any

import httpx

from rootstock_client import Client, RetryPolicy

URL = "http://rootstock.test"
KEY = "rs_4f2a_very-secret"

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class PreparedService:
    """Answers in the order given and keeps every request with its body."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept_s: list[float] = []

    def _handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)

    def client(self, *, retries: RetryPolicy | None = None) -> Client:
        return Client(
            URL, KEY, http=httpx.MockTransport(self._handle), sleep=self.slept_s.append, retries=retries
        )

    @property
    def num_unused(self) -> int:
        return len(self._answers)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Method and path with query of every request."""
        return [(request.method, request.url.raw_path.decode()) for request in self.requests]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


def form_of(request: httpx.Request) -> dict[str, bytes]:
    """Parts of a multipart body by name, in their order."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + request.content).get_payload()
    assert isinstance(parts, list)
    found: dict[str, bytes] = {}
    for part in parts:
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        found[name] = content
    return found


def ok(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def problem(status: int, code: str, detail: str = "a rule", **headers: str) -> httpx.Response:
    body = {
        "type": f"urn:rootstock:problem:{code}",
        "title": "Title",
        "status": status,
        "detail": detail,
        "code": code,
    }
    return httpx.Response(
        status, content=json.dumps(body), headers={"Content-Type": "application/problem+json"} | headers
    )


def job(status: str = "queued", **fields: Any) -> dict[str, Any]:
    return {
        "id": "job_1",
        "kind": "pretrain",
        "status": status,
        "progress": {"step": 0, "total": 0, "message": ""},
        "attempt": 1,
        "error": None,
        "result": None,
    } | fields


def event_stream(events: Iterable[tuple[int, str, dict[str, Any]]]) -> httpx.Response:
    text = ": keep-alive\n\n" + "".join(
        f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for number, kind, data in events
    )
    return httpx.Response(200, content=text, headers={"Content-Type": "text/event-stream; charset=utf-8"})
