"""What the command line says where there is nothing, or nothing more, to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from app.commands.exit_codes import ExitCode
from tests.app.commands.conftest import Run
from tests.client.live import small_table


@pytest.fixture
def proposing(run: Run, tmp_path: Path) -> Iterator[str]:
    """A table with a weight that can be accepted, and a column that only the next snapshot can drop."""
    path = tmp_path / "proposing.csv"
    small_table().with_columns(survey_weight=pl.int_range(pl.len()) / 100 + 0.5, flat=pl.lit("x")).write_csv(
        path
    )
    assert run("register", "proposing", str(path), "--key", "id", "--wait").code == 0
    yield "proposing"
    assert run("tables", "delete", "proposing", "--yes").code == 0


def test__proposals__say_which_can_be_accepted_and_are_accepted_by_name(run: Run, proposing: str) -> None:
    listed = {one["column"]: one["fixed"] for one in run("columns", proposing, "--proposals", "--json").json}
    assert listed["survey_weight"] is None
    assert "--column flat=drop" in listed["flat"]
    shown = run("columns", proposing, "--proposals").out
    assert "acceptable now" in shown
    assert "yes" in shown
    assert run("columns", proposing, "nobody", "--accept").code == ExitCode.REFUSED
    accepted = run("columns", proposing, "survey_weight", "--accept", "--json").json
    assert [one["column"] for one in accepted["accepted"]] == ["survey_weight"]
    again = run("columns", proposing, "--accept")
    assert again.code == 0
    assert "No proposals that can be accepted now" in again.err
    assert "flat was not changed" in again.err


def test__proposals__none__say_so(run: Run, prepared: str) -> None:
    run("columns", prepared, "--accept")
    listed = run("columns", prepared, "--proposals", "--json").json
    ran = run("columns", prepared, "--accept")
    assert ran.code == 0
    assert "No proposals" in ran.err
    assert listed or "No proposals" in run("columns", prepared, "--proposals").err


def test__jobs__ended_already__are_left_and_said_to_be(run: Run, prepared: str) -> None:
    job = run("jobs", "list", "--table", prepared, "--status", "succeeded", "--json").json[0]["id"]
    for verb in ("cancel", "pause", "resume"):
        ran = run("jobs", verb, job)
        assert ran.code == 0
        assert "it has ended already (succeeded); nothing to do" in ran.err
        assert run("jobs", verb, job, "--json").json["status"] == "succeeded"
