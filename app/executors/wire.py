"""Reports as JSON messages, and what else goes over a task's channel. Light: the worker's side needs no torch."""

from __future__ import annotations

import orjson

from app.executors.contract import Advanced, Failed, Report, Stopped, Succeeded
from storage.orm.base import JsonObject

STOP = b"stop"
SPAWN = b"s"
NEVER_STARTED = b"never started"

_FINAL_OF = {"succeeded": Succeeded, "failed": Failed, "stopped": Stopped}


def encode_report(report: Report) -> bytes:
    """A report as one JSON message; a NaN in a result becomes null."""
    body = dict(vars(report))
    return orjson.dumps({"type": type(report).__name__.lower(), **body}, option=orjson.OPT_SERIALIZE_NUMPY)


def decode_report(data: bytes) -> Report:
    """Inverse of `encode_report`."""
    body: JsonObject = orjson.loads(data)
    kind = body.pop("type")
    return Advanced(**body) if kind == "advanced" else _FINAL_OF[kind](**body)
