"""Server-sent events (WHATWG HTML §9.2) from lines; only what a job's stream uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from rootstock_client.jobs import JobEvent


def read_events(lines: Iterable[str]) -> Iterator[JobEvent]:
    """Events in the order they arrive; comments (keep-alives) and events without data are passed over.

    An event that the connection cut off before its empty line is dropped, as the standard says: it comes
    again after a reconnect with `Last-Event-ID`.
    """
    last_id, kind, data = "", "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield JobEvent(id=last_id, type=kind or "message", data=_data("\n".join(data)))
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            last_id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def _data(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
