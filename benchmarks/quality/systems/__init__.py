"""Compared systems, one module each. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.trial import System

SYSTEMS: dict[str, Callable[[], System]] = {}
"""By name; made when asked for, so that a package is imported only by who compares with it."""
