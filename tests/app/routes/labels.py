"""Targets of the table `people`, labels sent to them by key, and the labels that are stored then."""

from __future__ import annotations

import io
from typing import Any

import httpx
import polars as pl

from tests.app.routes.service import Service

_numbers = iter(range(1_000))


def make_target(service: Service, **more: Any) -> str:
    """The name of a new target."""
    name = f"t{next(_numbers)}"
    service.http.post("/v1/tables/people/targets", json={"name": name, **more}).raise_for_status()
    return name


def post_labels(service: Service, target: str, labels: Any, **more: Any) -> httpx.Response:
    """`labels` as the interface takes them, or values by key."""
    headers = {"Idempotency-Key": more.pop("key")} if "key" in more else {}
    if isinstance(labels, dict):
        labels = [{"key": key, "value": value} for key, value in labels.items()]
    return service.http.post(
        f"/v1/tables/people/targets/{target}/labels", json={"labels": labels, **more}, headers=headers
    )


def counts(answer: httpx.Response) -> tuple[int, ...]:
    """Accepted, replaced, withdrawn, unmatched, and labels then."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return tuple(body[name] for name in ("accepted", "replaced", "withdrawn", "unmatched", "num_labels"))


def download_labels(service: Service, target: str, version: int, file_format: str) -> bytes:
    answer = service.http.get(
        f"/v1/tables/people/targets/{target}/label-sets/{version}/labels", params={"format": file_format}
    )
    assert answer.status_code == 200, answer.text
    return answer.content


def stored_labels(service: Service, target: str, version: int) -> dict[str, tuple[Any, ...]]:
    """Value, time and weight of every label of that version by key."""
    frame = pl.read_parquet(io.BytesIO(download_labels(service, target, version, "parquet")))
    return {key: tuple(rest) for key, *rest in frame.rows()}
