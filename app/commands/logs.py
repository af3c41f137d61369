"""Logging of the processes that stay: one line an event on stderr, no bodies, no row values."""

from __future__ import annotations

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def log_to_stderr(level: str) -> None:
    """Own events from `level` on; those of libraries from WARNING on."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=FORMAT, force=True)
    for name in ("app", "models", "storage"):
        logging.getLogger(name).setLevel(level.upper())
