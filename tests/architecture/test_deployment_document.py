"""docs/deployment.md names every setting, and none that is not one."""

from __future__ import annotations

import re

from app.settings import SECRETS, Settings
from storage.artifacts import ARTIFACT_STORES
from tests.architecture.containers import ROOT

DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()
_, TABLE = DOCUMENT.split("## Settings")


def test__settings__are_all_in_the_table_and_nothing_else_is() -> None:
    fields = set(Settings.model_fields) - {"artifacts"}
    fields |= {f"artifacts__{field}" for config in ARTIFACT_STORES for field in config.model_fields}
    assert {name.lower() for name in re.findall(r"`ROOTSTOCK_([A-Z_]+)`", TABLE)} == fields


def test__secrets__are_marked() -> None:
    assert {name.lower() for name in re.findall(r"`ROOTSTOCK_([A-Z_]+)` †", TABLE)} == set(SECRETS)


def test__commands__in_documents__name_files_that_are_there() -> None:
    for name in ("deployment.md", "operations.md"):
        for path in re.findall(r"(?:tests|deploy)/[a-z_/.-]+\.(?:py|sh)", (ROOT / "docs" / name).read_text()):
            assert (ROOT / path).is_file(), path
