"""An S3 server in the test process (moto's), a bucket for each test, and a way to make it fail.

It is started once per process, in about a second; where the package is absent its tests are skipped with a line.
`S3Server.faults` is a list of what the next requests get instead of the truth.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from storage.artifacts import S3StoreConfig

ACCESS_KEY_ID = "AKIDROOTSTOCKTESTS"
SECRET_ACCESS_KEY = "not-a-secret-of-anything"

_numbers = itertools.count(1)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Fault = Callable[[Application, Environ, StartResponse], Iterable[bytes]]
"""Answers a request in the server's place, or changes its answer."""


class S3Server:
    def __init__(self) -> None:
        # Before boto3 is imported: it looks for credentials of whoever runs the tests.
        os.environ.update(AWS_ACCESS_KEY_ID=ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET_ACCESS_KEY)
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []  # method and path
        application: Application = DomainDispatcherApplication(create_backend_app)

        def faulty(environ: Environ, start: StartResponse) -> Iterable[bytes]:
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
            if self.faults:
                return self.faults.pop(0)(application, environ, start)
            return application(environ, start)

        self._server = make_server("127.0.0.1", 0, faulty, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="s3-server")
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.port}"

    def config(self, cache_dir: Path | None = None, **changes: Any) -> S3StoreConfig:
        """A store in a new bucket; tries again for a second, not longer."""
        return S3StoreConfig(
            **{
                "bucket": self.create(),
                "prefix": "tests/rootstock",
                "endpoint": self.endpoint,
                "allow_http": True,
                "access_key_id": SecretStr(ACCESS_KEY_ID),
                "secret_access_key": SecretStr(SECRET_ACCESS_KEY),
                "cache_dir": cache_dir,
                "max_retries": 3,
                "retry_timeout_s": 5.0,
                "stall_timeout_s": 5.0,
                **changes,
            }
        )

    def create(self) -> str:
        """The name of a new, empty bucket."""
        from moto.s3.models import s3_backends

        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        s3_backends["123456789012"]["aws"].create_bucket(name, "us-east-1")
        return name

    def keys(self, bucket: str) -> dict[str, Any]:
        """moto's own objects by key, to look at and to damage."""
        from moto.s3.models import s3_backends

        return dict(s3_backends["123456789012"]["aws"].buckets[bucket].keys)

    def uploads(self, bucket: str) -> int:
        """How many multipart uploads were begun and neither completed nor given up."""
        from moto.s3.models import s3_backends

        return len(s3_backends["123456789012"]["aws"].buckets[bucket].multiparts)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


def answer(status: str, body: bytes = b"") -> Fault:
    """The server says this instead."""

    def fault(_: Application, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    return fault


def cut_after(num_bytes: int) -> Fault:
    """The connection ends in the middle of the body, whose length was announced truly."""

    def fault(application: Application, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        body = b"".join(application(environ, start))

        def cut() -> Iterator[bytes]:
            yield body[:num_bytes]
            raise ConnectionResetError

        return cut()

    return fault


def changed(change: Callable[[bytes], bytes]) -> Fault:
    """The body arrives whole and well-formed, and is another one."""

    def fault(application: Application, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        seen: list[Any] = []
        body = change(b"".join(application(environ, lambda *given: seen.extend(given))))
        headers = [(name, value) for name, value in seen[1] if name.lower() != "content-length"]
        start(seen[0], [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return fault


@functools.cache
def _start_once() -> S3Server:
    return S3Server()


@pytest.fixture(scope="session")
def s3_process_server() -> S3Server:
    try:
        return _start_once()
    except ImportError:
        pytest.skip("S3 tests need moto and obstore: pip install -e '.[dev]'")


@pytest.fixture
def s3(s3_process_server: S3Server) -> Iterator[S3Server]:
    """The process's server, telling the truth at the beginning."""
    s3_process_server.faults.clear()
    s3_process_server.requests.clear()
    yield s3_process_server
    s3_process_server.faults.clear()
