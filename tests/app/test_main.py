"""What lives as long as the application serves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.app.routes.service import Service


def test__application__started__has_imported_the_libraries_of_trees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_library_of_a_test.py").write_text("IS_THERE = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("app.main.SLOW_LIBRARIES", ("slow_library_of_a_test",))
    Service(tmp_path / "home").close()
    assert sys.modules.pop("slow_library_of_a_test").IS_THERE
