"""Every Python block of docs/columns.md runs, top to bottom, in one namespace, against one service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.client.live import live_service

DOCUMENT = Path(__file__).parents[2] / "docs" / "columns.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test__columns__python_blocks__run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, object] = {"__name__": "columns"}
    with live_service(tmp_path / "home") as service:
        monkeypatch.setenv("ROOTSTOCK_URL", service.url)
        monkeypatch.setenv("ROOTSTOCK_KEY", service.key)
        for number, block in enumerate(BLOCK.findall(DOCUMENT.read_text()), 1):
            exec(compile(block, f"columns.md block {number}", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "('signup', 'time'" in printed
