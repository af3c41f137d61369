"""The client: a connection and all calls of the service over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from rootstock_client.calls import (
    AliasCalls,
    EncoderCalls,
    ErasureCalls,
    HeadCalls,
    JobCalls,
    KeyCalls,
    LabelCalls,
    PredictCalls,
    ReportCalls,
    SnapshotCalls,
    TableCalls,
    TargetCalls,
)
from rootstock_client.connection import resolve
from rootstock_client.transport import RetryPolicy, Transport


class Client(
    TableCalls,
    SnapshotCalls,
    ErasureCalls,
    EncoderCalls,
    TargetCalls,
    LabelCalls,
    HeadCalls,
    AliasCalls,
    PredictCalls,
    ReportCalls,
    JobCalls,
    KeyCalls,
):
    """A synchronous client; safe to share between threads, closed with `close` or a `with` block.

    Args:
        base_url: by default `$ROOTSTOCK_URL`, else the local service on its default port.
        key: by default `$ROOTSTOCK_KEY`, else (for addresses of this machine) the admin key that
            `rootstock serve` left for this user in `$ROOTSTOCK_HOME`.
        timeout_s: for an answer to begin, not for the whole of an upload.
        http: another transport of httpx, for tests and special networks.

    Example:
        >>> client = Client("http://127.0.0.1:8321", key="rs_4f2a_secret")
        >>> client
        Client('http://127.0.0.1:8321', key='rs_4f2a_…')
        >>> client.close()

    From a table to predictions::

        with Client() as client:
            client.wait(client.register("customers", "customers.csv", key="id", targets=["churned"]))
            client.wait(client.pretrain("customers", max_seconds=120))
            client.create_target("customers", "churn", column="churned")
            client.wait(client.finetune("customers", "churn", max_labels=500))
            client.predict("customers", ["churn"], keys=["c-17", "c-18"]).frame()
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: RetryPolicy | None = None,
        http: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = Transport(
            resolve(base_url, key), timeout_s=timeout_s, retries=retries, http=http, sleep=sleep
        )

    @property
    def url(self) -> str:
        return self._transport.connection.url

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r}, key={self._transport.connection.key_hint!r})"
