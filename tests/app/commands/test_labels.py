"""`rootstock label`, `rootstock labels` and `rootstock targets decide`."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from app.commands.exit_codes import ExitCode
from tests.app.commands.conftest import Run
from tests.client.live import small_table


def test__labels__from_file_to_undo__on_the_command_line(run: Run, prepared: str, tmp_path: Path) -> None:
    keys = small_table()["id"].to_list()
    path = tmp_path / "labels.csv"
    frame = pl.DataFrame({"who": keys[:12], "value": ["a", "b"] * 6, "noted": ["2024-05-01T10:00:00Z"] * 12})
    frame.write_csv(path)
    assert run("target", prepared, "filed").code == 0
    columns = ("--key-column", "who", "--at-column", "noted")
    sent = run("label", prepared, "filed", "--file", str(path), *columns)
    assert sent.code == 0, sent.err
    assert run("label", prepared, "filed").code == ExitCode.USAGE
    assert run("label", prepared, "filed", str(path), "--at-column", "nowhere").code == ExitCode.USAGE
    frame.head(2).write_csv(path)
    replaced = run("label", prepared, "filed", str(path), *columns, "--replace", "--json").json
    assert (replaced["withdrawn"], replaced["num_labels"]) == (10, 2)
    listed = run("labels", "list", prepared, "filed")
    assert "labels" in listed.out
    assert len(run("labels", "list", prepared, "filed", "--json").json) == 2
    compared = run("labels", "compare", prepared, "filed", "2", "--limit", "3")
    assert compared.code == 0, compared.err
    assert "10 withdrawn" in compared.err
    assert "7 more" in compared.err
    assert run("labels", "restore", prepared, "filed", "1").code == 0
    assert run("labels", "show", prepared, "filed", "3", "--json").json["restored_version"] == 1
    out = tmp_path / "out.csv"
    assert run("labels", "export", prepared, "filed", "3", "--out", str(out)).code == 0
    assert pl.read_csv(out, infer_schema=False)["at"].unique().to_list() == ["1714557600.0"]
    assert run("labels", "export", prepared, "filed", "3", "--out", "out.xlsx").code == ExitCode.USAGE
    assert run("labels", "delete", prepared, "filed", "2", "--yes").code == 0
    found = run("labels", "next", prepared, "filed", "--count", "4")
    assert len(found.out.split()) == 4
    assert run("targets", "delete", prepared, "filed", "--yes").code == 0


def test__decide__shows_sets_and_resets(run: Run, prepared: str) -> None:
    shown = run("targets", "decide", prepared, "churn")
    assert shown.code == 0, shown.err
    assert "most_probable" in shown.out
    assert "recall" in shown.out
    changed = run("targets", "decide", prepared, "churn", "--costs", "[[0, 1], [5, 0]]")
    assert changed.code == 0, changed.err
    assert "cost" in changed.out
    assert (
        run("targets", "decide", prepared, "churn", "--share", "0.1", "--json").json["applied"]["above"] > 0
    )
    assert run("targets", "decide", prepared, "churn", "--share", "0.1", "--reset").code == ExitCode.USAGE
    assert run("targets", "decide", prepared, "churn", "--costs", "[1, 2").code == ExitCode.USAGE
    assert run("targets", "decide", prepared, "churn", "--reset").code == 0
