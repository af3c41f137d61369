"""Where the service that runs on a home of this machine listens.

`rootstock serve` holds an advisory lock on `serve.lock` as long as it runs, however it ends, and says in `serve.json`
where it listens; what stands there counts only while the lock is held.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def announced(home: Path) -> dict[str, Any] | None:
    """What the service that holds the lock of `home` says of itself; None where none does, or says nothing."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system, and no service
        return None
    try:
        handle = os.open(home / "serve.lock", os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads((home / "serve.json").read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(handle)  # also lets go of the lock where nobody else had it
    return None
