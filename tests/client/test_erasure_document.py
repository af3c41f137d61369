"""Every Python block of docs/erasure.md runs, top to bottom, in one namespace, against a real service."""

from __future__ import annotations

import pytest

from tests.client.live import LiveService
from tests.documents import DOCS, run_blocks


def test__erasure_page__python_blocks__run_as_written(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(service.home))
    monkeypatch.setenv("ROOTSTOCK_URL", service.url)
    run_blocks(DOCS / "erasure.md")
    printed = capsys.readouterr().out
    places = "[{'version': 1, 'rows': 1}, {'version': 2, 'rows': 2}]"
    assert f"completed 2 {places} [{{'target': 'renews', 'version': 1, 'labels': 1}}]" in printed
    assert "'encoders': [1]" in printed
    assert printed.endswith("snapshot_in_use\nunknown_keys\n")
    with service.client() as client:
        client.delete_table("members")
