"""Every Python block of docs/erasure.md runs, top to bottom, in one namespace, against a real service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.client.live import LiveService

DOCUMENT = Path(__file__).parents[2] / "docs" / "erasure.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test__erasure_page__python_blocks__run_as_written(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(service.home))
    monkeypatch.setenv("ROOTSTOCK_URL", service.url)
    namespace: dict[str, object] = {"__name__": "erasure_page"}
    for number, block in enumerate(BLOCK.findall(DOCUMENT.read_text()), 1):
        exec(compile(block, f"erasure.md block {number}", "exec"), namespace)
    printed = capsys.readouterr().out
    places = "[{'version': 1, 'rows': 1}, {'version': 2, 'rows': 2}]"
    assert f"completed 2 {places} [{{'target': 'renews', 'version': 1, 'labels': 1}}]" in printed
    assert "'encoders': [1]" in printed
    assert printed.endswith("snapshot_in_use\nunknown_keys\n")
    with service.client() as client:
        client.delete_table("members")
