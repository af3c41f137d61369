"""Refit, take it back, remove: the commands that move heads, against the real service."""

from __future__ import annotations

from app.commands.exit_codes import ExitCode
from tests.app.commands.conftest import Run
from tests.client.live import LiveService, prepare_table


def test__refit__taken_back_and_tidied_up__on_the_command_line(run: Run, service: LiveService) -> None:
    with service.client() as client:
        prepare_table(client, "movers")
        client.set_alias("movers", "churn", "champion", 1)
    ran = run("refit", "movers", "churn", "--labels", "same", "--max-seconds", "5", "--wait")
    assert ran.code == 0, ran.err
    assert "AUC points" in ran.out
    assert "churn" in ran.out
    heads = run("heads", "list", "movers", "churn", "--json").json
    assert (heads[0]["version"], heads[0]["refit_of"]) == (2, 1)
    champion = next(head["version"] for head in heads if "champion" in head["aliases"])
    job = heads[0]["job"]
    back = run("alias", "rollback-job", "movers", job)
    if champion == 2:
        assert "churn@champion is version 1 again" in back.err
        assert f"rollback-job movers {job}" in ran.err
    else:
        assert back.code == ExitCode.REFUSED
    assert "churn@champion" in run("encoders", "list", "movers").out
    assert run("encoders", "delete", "movers", "1", "--yes").code != 0
    assert run("alias", "delete", "movers", "churn", "champion", "--yes").code == 0
    assert run("refit", "movers").code != 0
    history = run("alias", "history", "movers", "churn").out
    assert "removed" in history


def test__refit__of_no_table__is_not_found(run: Run) -> None:
    missing = run("refit", "no-such-table")
    assert missing.code == ExitCode.NOT_FOUND
