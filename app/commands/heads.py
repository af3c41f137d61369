"""`rootstock finetune` and `rootstock heads`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.commands.column_words import split_names
from app.commands.console import say, show_fields, show_table
from app.commands.encoders import Version
from app.commands.exit_codes import ExitCode
from app.commands.following import Wait, report_started
from app.commands.metrics_table import control_line, leading_row, metric_rows, promise_rows
from app.commands.session import session_of
from app.commands.tables import TableName, Yes
from app.commands.targets import TargetName

heads = typer.Typer(no_args_is_help=True, help="List, show and delete head versions.")


def finetune(
    ctx: typer.Context,
    table: TableName,
    targets: Annotated[str, typer.Argument(help="Targets with commas, or * for all.")] = "*",
    kind: Annotated[
        str | None, typer.Option(help="auto (default), linear, forest, gbdt, full or zero_shot.")
    ] = None,
    max_labels: Annotated[int | None, typer.Option(min=1, help="Use a random sample of the labels.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of that sample.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Of fitting; default 60.")] = None,
    alias: Annotated[
        str | None, typer.Option(help="Move this alias, if the new head is good enough.")
    ] = None,
    wait: Wait = False,
) -> None:
    """Fit new heads for one target, several or all, in one job over one encoder pass."""
    session = session_of(ctx)
    chosen = "*" if targets == "*" else split_names(targets)
    with session.client() as client:
        job = client.finetune(
            table, chosen, head=kind, max_labels=max_labels, seed=seed, max_seconds=max_seconds, alias=alias
        )
        for name, reason in (job.created.get("skipped") or {}).items():
            say(f"skipped {name}: {reason}")
        ended = report_started(session, client, job, f"fine-tune {table}", wait=wait)
    if ended is not None and wait:
        made = (ended.result or {}).get("heads") or []
        for head in made:
            say(f"{head['target']}: {outcome(head, table)}")
        if made and all(head.get("error") for head in made):
            raise typer.Exit(ExitCode.JOB_FAILED)


def outcome(head: Mapping[str, Any], table: str = "") -> str:
    """What became of one head of a fine-tune, as its job's result says."""
    error = head.get("error")
    if error:
        return f"version {head.get('version')} failed: {error.get('message')} ({error.get('code')})"
    reason = head.get("alias_reason") or ""
    if head.get("alias") is None and head.get("passes_gate"):
        where = f"{table} {head['target']}" if table else str(head["target"])
        return (
            f"version {head['version']} is ready and may take any alias: {reason} No alias was asked to move: "
            f"`rootstock alias set {where} champion {head['version']}` moves one, `--alias champion` does with the next"
        )
    moved = f"{head['alias']} points at it" if head.get("alias") else "no alias was moved"
    return f"version {head['version']} is ready; {moved}" + (f": {reason}" if reason else "")


@heads.command("list")
def list_heads(ctx: typer.Context, table: TableName, target: TargetName) -> None:
    """Head versions of a target, with their leading metric."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.heads(table, target)
    if session.show(found):
        return
    rows = []
    for head in found:
        leading = leading_row(head)
        rows.append(
            [head["version"], head["status"], head.get("kind"), head.get("encoder"), head.get("aliases"),
             leading and f"{leading.metric} {leading.head}", head.get("verdict")]
        )  # fmt: skip
    show_table(["version", "status", "kind", "encoder", "aliases", "metric", "verdict"], rows)


@heads.command("show")
def show_head(ctx: typer.Context, table: TableName, target: TargetName, version: Version) -> None:
    """One head: metrics with intervals beside the baselines on the same labels."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.head(table, target, version)
    if session.show(found):
        return
    rows = metric_rows(found)
    names = (
        "version",
        "status",
        "kind",
        "encoder",
        "label_set",
        "view",
        "seen_in_pretraining",
        "aliases",
        "bytes",
    )
    show_fields(
        {name: found.get(name) for name in names}
        | {"verdict": found.get("verdict"), "error": found.get("error")}
    )
    baselines = list(found.get("baselines") or {})
    show_table(
        ["metric", "on", "head", *baselines],
        [[r.metric, r.on, r.head, *map(r.baselines.get, baselines)] for r in rows],
    )
    report = found.get("report") or {}
    if promises := promise_rows(report):
        show_table(["coverage asked", "found out of fold", "mean size or width"], promises)
    if control := control_line(report):
        say(control)
    for warning in report.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")


@heads.command("delete")
def delete_head(
    ctx: typer.Context, table: TableName, target: TargetName, version: Version, yes: Yes = False
) -> None:
    """Delete a head version that no alias points at."""
    if not yes:
        typer.confirm(f"Delete version {version} of {target}?", abort=True, err=True)
    with session_of(ctx).client() as client:
        client.delete_head(table, target, version)
    say(f"deleted {target}:{version}")
