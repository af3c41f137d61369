"""Keeping freed memory is an advice to the C library, never an error."""

from __future__ import annotations

import ctypes
from typing import NoReturn

import pytest

from models.training.freed_memory import keep_freed_memory


def test__freed_memory__asked_for_twice__same_answer() -> None:
    assert keep_freed_memory() == keep_freed_memory()


def test__freed_memory__library_without_it__false(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: object) -> NoReturn:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert not keep_freed_memory()
