"""All operations of the service with a request that would do something, found from its own description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.main import openapi_document

PUBLIC = {("GET", "/livez"), ("GET", "/readyz")}
VALUES = {
    "table": "people",
    "target": "churn",
    "alias": "champion",
    "version": "1",
    "job_id": "job_01M7Y2S6VCQNRC9TJ1S1R2YGAY",
    "erasure": "job_01M7Y2S6VCQNRC9TJ1S1R2YGAY",
    "key_id": "0123456789abcdef",
}
BODIES: dict[str, Any] = {
    "ProposalsRequest": {"columns": "*"},
    "ColumnsPatch": {"columns": {"age": {"kind": "categorical"}}},
    "EncoderRequest": {},
    "TargetRequest": {"name": "another"},
    "DecisionRequest": {"rule": "threshold", "threshold": 0.5},
    "LabelsRequest": {"labels": [{"key": "p1", "value": "x"}]},
    "HeadRequest": {},
    "FineTuneRequest": {"targets": "*"},
    "AliasRequest": {"version": 1},
    "RefitRequest": {},
    "EraseRequest": {"keys": ["p1"]},
    "JobRollbackRequest": {"job": "job_01M7Y2S6VCQNRC9TJ1S1R2YGAY"},
    "PredictRequest": {"targets": "*", "rows": [{"age": 30}]},
    "KeyRequest": {"name": "another", "scopes": ["predict"]},
}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    template: str
    json: Any = None
    is_upload: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def request(self) -> dict[str, Any]:
        """Arguments for `httpx.Client.request`."""
        if self.is_upload:
            fields = {"mode": "append"} if self.template.endswith("/snapshots") else {"name": "fresh"}
            return {"data": fields, "files": {"file": ("t.csv", b"a,b\n1,2\n3,4\n")}}
        return {} if self.json is None else {"json": self.json}


def operations() -> Iterator[Operation]:
    """Every operation behind a key."""
    for template, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            if (method.upper(), template) in PUBLIC:
                continue
            content = operation.get("requestBody", {}).get("content", {})
            body = None
            if "application/json" in content and "multipart/form-data" not in content:
                body = BODIES.get(content["application/json"]["schema"]["$ref"].rpartition("/")[2], {})
            yield Operation(
                method.upper(),
                template.format(**VALUES),
                template,
                json=body,
                is_upload="multipart/form-data" in content,
            )


OPERATIONS = list(operations())
