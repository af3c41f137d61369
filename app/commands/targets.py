"""`rootstock target` and `rootstock targets`: what to predict, and how to decide."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.column_words import split_names
from app.commands.console import say, show_fields, show_table
from app.commands.session import session_of
from app.commands.tables import TableName, Yes

TargetName = Annotated[str, typer.Argument(metavar="TARGET", help="Name of a target.")]

targets = typer.Typer(no_args_is_help=True, help="List, show and delete targets; say how they decide.")


def json_scalar(text: str) -> str | int | float | bool:
    """`1`, `0.5`, `true` and `"1"` (in quotes: a text) as in JSON; everything else is the text itself."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def target(
    ctx: typer.Context,
    table: TableName,
    name: Annotated[str, typer.Argument(help="A new name: a-z, 0-9, _ and -.")],
    column: Annotated[
        str | None,
        typer.Option(help="Column that holds the labels; without one, send them with `rootstock label`."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="binary, multiclass or regression; default: by the labels.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help='Positive class, written as in JSON (true, 1, "1") or as plain text.')
    ] = None,
    forbid: Annotated[str, typer.Option(help="Columns that must not be used for it, with commas.")] = "",
) -> None:
    """Say what to predict about the rows of a table."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.create_target(
            table,
            name,
            column=column,
            task=task,
            positive=None if positive is None else json_scalar(positive),
            forbidden_columns=split_names(forbid),
        )
    if session.show(found):
        return
    for warning in found.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")
    labels = (
        f"{found['num_labels']:,} labels"
        if column
        else f"send labels with `rootstock label {table} {name} FILE`"
    )
    say(
        f"{name}: {found.get('task') or 'task by its labels'}; {labels}; then `rootstock finetune {table} {name}`"
    )


@targets.command("list")
def list_targets(ctx: typer.Context, table: TableName) -> None:
    """Targets of a table."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.targets(table)
    if not session.show(found):
        header = ["target", "task", "source", "labels", "classes", "champion"]
        rows = [
            [
                t["name"],
                t.get("task"),
                t.get("column") or "by key",
                t["num_labels"],
                t.get("classes"),
                t.get("champion"),
            ]
            for t in found
        ]
        show_table(header, rows)


@targets.command("show")
def show(ctx: typer.Context, table: TableName, target: TargetName) -> None:
    """One target with its label counts."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.target(table, target)
    if not session.show(found):
        show_fields({name: value for name, value in found.items() if value not in (None, [], {})})


@targets.command("delete")
def delete(ctx: typer.Context, table: TableName, target: TargetName, yes: Yes = False) -> None:
    """Delete a target with its labels and heads. There is no way back."""
    if not yes:
        typer.confirm(f"Delete {target} of {table} with its labels and heads?", abort=True, err=True)
    with session_of(ctx).client() as client:
        client.delete_target(table, target)
    say(f"deleted {target}")


@targets.command("decide")
def decide(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    threshold: Annotated[
        float | None, typer.Option(help="Positive where its probability is at least this.")
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option(
            help="JSON: one row per true class, one column per decided class, such as [[0, 1], [5, 0]]."
        ),
    ] = None,
    share: Annotated[float | None, typer.Option(help="Positive for at most this share of the rows.")] = None,
    count: Annotated[int | None, typer.Option(help="Positive for at most this many rows.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="The most probable class again.")] = False,
) -> None:
    """How `label` follows from probabilities: shown, or changed by one of the options."""
    rules = {"threshold": threshold, "costs": costs, "share": share, "count": count}
    given = {name: value for name, value in rules.items() if value is not None}
    if len(given) + reset > 1:
        raise typer.BadParameter("a decision follows one rule")
    matrix = None if costs is None else _costs(costs)
    session = session_of(ctx)
    with session.client() as client:
        if given or reset:
            found = client.set_decision(
                table, target, threshold=threshold, costs=matrix, share=share, count=count
            )
        else:
            found = client.decision(table, target)
    if session.show(found):
        return
    show_fields({"decision": found["decision"], "head": found["head"], "applied": found["applied"]})
    if found["reason"]:
        say(found["reason"])
    for part, metrics in (found["metrics"] or {}).items():
        without = (found["most_probable"] or {}).get(part, {})
        header = [part, "value", "low", "high", "n", "most probable class"]
        rows = [
            [
                name,
                entry["value"],
                entry["low"],
                entry["high"],
                entry["n"],
                without.get(name, {}).get("value"),
            ]
            for name, entry in metrics.items()
            if "value" in entry
        ]
        show_table(header, rows)


def _costs(text: str) -> list[list[float]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"costs is no JSON (column {error.colno})") from None
    if not isinstance(found, list) or not all(isinstance(row, list) for row in found):
        raise typer.BadParameter("costs is a list of lists of numbers, such as [[0, 1], [5, 0]]")
    return found
