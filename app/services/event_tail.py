"""One thread per process that reads new job events and hands them to whoever follows a job.

However many streams are open, the database sees one query per poll, and none while nobody listens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from app.errors import TooManyRequests
from app.schemas.jobs import EventBody
from storage.engine import Database
from storage.errors import StorageError

logger = logging.getLogger(__name__)

Listener = Callable[[EventBody], None]
"""Called in the tailer's thread; must not block nor raise."""


class EventTail:
    """Thread-safe. A listener hears every event committed after `follow` returned; it reads earlier ones itself
    and drops what it knows by `sequence`."""

    def __init__(self, database: Database, *, poll_s: float, max_followers: int) -> None:
        self._database = database
        self._poll_s = poll_s
        self._max_followers = max_followers
        self._lock = threading.Lock()
        self._listeners: dict[int, tuple[str, Listener]] = {}
        self._next_token = 0
        self._position: int | None = None  # id of the last event seen; None while nobody follows
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def num_followers(self) -> int:
        return len(self._listeners)

    def start(self) -> None:
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="event-tail", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def is_stopping(self) -> bool:
        """Streams end by themselves when the process does."""
        return self._stopping

    def check_room(self) -> None:
        """Raises: TooManyRequests when as many follow as are allowed."""
        if len(self._listeners) >= self._max_followers:
            raise TooManyRequests(
                f"{self._max_followers} event streams are open, as many as are allowed; poll "
                "/v1/jobs/{id}/events?after= instead, or try again later.",
                code="too_many_streams",
                retry_after_s=5.0,
            )

    def follow(self, job_id: str, listener: Listener) -> int:
        """Start to call `listener`; returns the token for `unfollow`."""
        with self._lock:
            if self._position is None:
                with self._database.reading() as uow:
                    self._position = uow.jobs.last_event_id()
            self._next_token += 1
            self._listeners[self._next_token] = (job_id, listener)
            token = self._next_token
        self._wake.set()
        return token

    def unfollow(self, token: int) -> None:
        with self._lock:
            self._listeners.pop(token, None)
            if not self._listeners:
                self._position = None

    def _run(self) -> None:
        while not self._stopping:
            if not self._listeners:
                self._wake.wait()
                self._wake.clear()
                continue
            try:
                self._read_on()
            except StorageError as error:  # streams wait; the next poll may work
                logger.warning("job events could not be read: %s", error.code)
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def _read_on(self) -> None:
        with self._lock:
            position = self._position
        if position is None:
            return
        with self._database.reading() as uow:
            events = uow.jobs.events_since(position)
        for event in events:
            body = EventBody.of(event)
            with self._lock:
                listeners = [
                    listener for job_id, listener in self._listeners.values() if job_id == event.job_id
                ]
            for listener in listeners:
                listener(body)
        if events:
            with self._lock:
                if self._position is not None:
                    self._position = max(self._position, events[-1].id)
