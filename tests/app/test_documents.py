"""The committed OpenAPI document is that of the code, and complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.main import openapi_document

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(child) for child in value.values()))
    if isinstance(value, list):
        return set().union(*(references(child) for child in value))
    return set()


def test__openapi__committed__is_current() -> None:
    assert json.loads(COMMITTED.read_text()) == openapi_document(), "run `make openapi` and commit the file"


def test__openapi__references__all_resolve() -> None:
    document = openapi_document()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


def test__openapi__operations__declare_body_problems_and_security() -> None:
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            if not path.startswith("/v1"):
                continue
            assert operation["security"] == [{"ApiKey": []}]
            assert {"401", "403", "422", "503"} <= operation["responses"].keys()
            for status, response in operation["responses"].items():
                assert status.startswith("2") or "application/problem+json" in response["content"]
            if "415" in operation["responses"]:
                assert operation["requestBody"]["content"]
            assert operation["description"]
            assert operation["operationId"]
            if method == "post" and operation["responses"].keys() & {"201", "202"}:
                assert any(parameter["name"] == "idempotency-key" for parameter in operation["parameters"])
