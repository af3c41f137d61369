"""A job's log as server-sent events (WHATWG HTML §9.2).

`id` is the sequence within the job, `event` the event's type, `data` its JSON. A stream ends with the job, when
the key it was opened with is not valid any more, when the process stops, or after an hour; a client goes on with
`Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import orjson
from fastapi.concurrency import run_in_threadpool

from app.errors import ServiceError
from app.schemas.jobs import EventBody
from app.schemas.principal import Principal
from app.services.jobs import TERMINAL_EVENTS
from app.wiring import Container
from storage.errors import StorageError

STREAM_TYPE = "text/event-stream"
KEEP_ALIVE_S = 10.0
LOOK_UP_S = 1.0  # how often an idle stream asks whether it may go on
MAX_STREAM_S = 3600.0
PAGE = 500
_KEEP_ALIVE = b": keep-alive\n\n"


def wire_form(event: EventBody) -> bytes:
    """orjson writes no line breaks, so `data` is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.sequence,
        event.type.encode(),
        orjson.dumps(event.data),
    )


async def stream_events(parts: Container, caller: Principal, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Events with a sequence above `after`: first those stored, then new ones as the tailer hears of them."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[EventBody] = asyncio.Queue()

    def hear(event: EventBody) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(heard.put_nowait, event)

    # Followed before the stored ones are read, so that none falls between; `after` drops what comes twice.
    token = await run_in_threadpool(parts.events.follow, job_id, hear)
    try:
        yield _KEEP_ALIVE  # the headers leave at once
        while True:
            page = await run_in_threadpool(parts.jobs.events, caller, job_id, after, PAGE)
            for event in page.events:
                yield wire_form(event)
                after = event.sequence
            if page.finished:
                return
            if len(page.events) < PAGE:
                break
        async for new in _live(parts, caller, heard):
            if new is None:
                yield _KEEP_ALIVE
            elif new.sequence > after:
                yield wire_form(new)
                after = new.sequence
                if new.type in TERMINAL_EVENTS:
                    return
    except (ServiceError, StorageError):
        return  # the status is sent long ago; the client reconnects and gets the problem itself
    finally:
        parts.events.unfollow(token)


async def _live(
    parts: Container, caller: Principal, heard: asyncio.Queue[EventBody]
) -> AsyncIterator[EventBody | None]:
    """New events; None where it is time for a sign of life. Ends when the stream must."""
    opened_at = looked_at = spoke_at = time.monotonic()
    while not parts.events.is_stopping and time.monotonic() - opened_at < MAX_STREAM_S:
        event: EventBody | None = None
        with suppress(TimeoutError):
            event = await asyncio.wait_for(heard.get(), LOOK_UP_S)
        if time.monotonic() - looked_at >= LOOK_UP_S:
            if not parts.is_still_valid(caller):
                return
            looked_at = time.monotonic()
        if event is not None or time.monotonic() - spoke_at >= KEEP_ALIVE_S:
            spoke_at = time.monotonic()
            yield event
