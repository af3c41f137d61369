"""`rootstock demo` in short form, as `make demo` runs it: from nothing to predictions, and it ends by itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from app.commands.exit_codes import ExitCode
from app.commands.running_service import RunningService
from tests.client.live import small_table

ROOT = Path(__file__).parents[2]
LIMIT_S = 200


def demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "app.cli",
            "demo",
            "--pretrain-seconds",
            "1",
            "--finetune-seconds",
            "6",
            *arguments,
        ],
        cwd=ROOT,
        env=os.environ | {"ROOTSTOCK_HOME": str(home), "ROOTSTOCK_WORKER_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.slow
def test__demo__generated_table_then_own__both_are_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ran = demo(home, "--rows", "600", "--max-labels", "60")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.findall(r"^\[(\d)/6\]", ran.stdout, re.MULTILINE) == list("123456")
    assert "generated" in ran.stdout
    for shown in (
        "churn",
        "plan",
        "spend",
        "auc",
        "r2",
        "rootstock predict demo-customers",
        "make demo TABLE=",
    ):
        assert shown in ran.stdout
    assert RunningService.find(home) is None, "the service was stopped"

    table = tmp_path / "My Shop.csv"
    small_table().with_columns(pl.lit("secret").alias("ssn")).write_csv(table, separator=";")
    own = ("--table", str(table), "--targets", "churned,visits", "--key", "id", "--drop", "ssn", "--json")
    again = demo(home, *own)
    assert again.returncode == 0, again.stdout + again.stderr
    answer = json.loads(again.stdout)
    assert answer["table"] == "my-shop"
    assert {name: head["status"] for name, head in answer["heads"].items()} == {
        "churned": "ready",
        "visits": "ready",
    }
    assert len(answer["predictions"]["predictions"]) == 2
    assert "[6/6]" in again.stderr


def test__demo__table_that_is_none__fails_clearly(tmp_path: Path) -> None:
    missing = demo(tmp_path / "home", "--table", str(tmp_path / "none.csv"), "--targets", "a")
    assert missing.returncode == ExitCode.USAGE
    assert "none.csv" in missing.stderr
    untold = demo(tmp_path / "home", "--targets", "a")
    assert untold.returncode == ExitCode.USAGE
    assert "--table" in untold.stderr
    assert not (tmp_path / "home").exists()
