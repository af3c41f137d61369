"""One service per home: the lock that `serve` holds, and where others find the service that holds it.

The lock is an advisory lock on `$ROOTSTOCK_HOME/serve.lock` (`flock`), so it goes with the process, however it
ends. Beside it `serve.json` says where the service listens; it counts only while the lock is held.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rootstock_client.errors import RootstockError
from rootstock_client.local_service import announced

_PROBE_S = 0.5


class AlreadyServed(RootstockError):
    default_code = "already_served"


@dataclass(frozen=True)
class RunningService:
    url: str
    pid: int

    @classmethod
    def find(cls, home: Path) -> RunningService | None:
        """The service that serves this home now, if there is one and it has begun to listen."""
        found = announced(home)
        with suppress(ValueError, TypeError, KeyError):
            return None if found is None else cls(url=str(found["url"]), pid=int(found["pid"]))
        return None


class HomeLock:
    """Held by `serve` from before it opens the database to after it has closed it."""

    def __init__(self, home: Path) -> None:
        self._announcement = home / "serve.json"

    def announce(self, url: str) -> None:
        """Tell the commands of this user where the service listens."""
        fresh = self._announcement.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(RunningService(url=url, pid=os.getpid()))))
        fresh.replace(self._announcement)


@contextmanager
def locked_home(home: Path) -> Iterator[HomeLock]:
    """Raises:
    AlreadyServed: another `serve` holds the lock; says where it listens.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(handle, home)
        lock = HomeLock(home)
        try:
            yield lock
        finally:
            lock._announcement.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _acquire(handle: int, home: Path) -> None:
    deadline = time.monotonic() + _PROBE_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = RunningService.find(home)
            # Held without an announcement: a service that is about to listen, or somebody's `find`, which is brief.
            if other is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
        where = f" at {other.url} (process {other.pid})" if other else ""
        raise AlreadyServed(
            f"this home is served already{where}: use that service, stop it, or set ROOTSTOCK_HOME to another folder"
        )
