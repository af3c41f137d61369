"""Every Python block of docs/snapshots.md runs, top to bottom, in one namespace, against a real service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.client.live import LiveService

DOCUMENT = Path(__file__).parents[2] / "docs" / "snapshots.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test__snapshots_page__python_blocks__run_as_written(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(service.home))
    monkeypatch.setenv("ROOTSTOCK_URL", service.url)
    namespace: dict[str, object] = {"__name__": "snapshots_page"}
    for number, block in enumerate(BLOCK.findall(DOCUMENT.read_text()), 1):
        exec(compile(block, f"snapshots.md block {number}", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "2 {'added': 20, 'updated': 0, 'unchanged': 100, 'removed': 0, 'kept': 0}" in printed
    assert "drift_refused\nsevere" in printed
    assert "(5, 'restore', 100), (4, 'append', 220)" in printed
    assert "'by': 'time'" in printed
    with service.client() as client:
        client.delete_table("stays")
