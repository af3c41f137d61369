"""Every Python block of docs/snapshots.md runs, top to bottom, in one namespace, against a real service."""

from __future__ import annotations

import pytest

from tests.client.live import LiveService
from tests.documents import DOCS, run_blocks


def test__snapshots_page__python_blocks__run_as_written(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(service.home))
    monkeypatch.setenv("ROOTSTOCK_URL", service.url)
    run_blocks(DOCS / "snapshots.md")
    printed = capsys.readouterr().out
    assert "2 {'added': 20, 'updated': 0, 'unchanged': 100, 'removed': 0, 'kept': 0}" in printed
    assert "drift_refused\nsevere" in printed
    assert "(5, 'restore', 100), (4, 'append', 220)" in printed
    assert "'by': 'time'" in printed
    with service.client() as client:
        client.delete_table("stays")
