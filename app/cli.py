"""`rootstock`: the command line. Options of one run, the commands, and what every failure exits with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from app.commands import COMMANDS, GROUPS
from app.commands.console import say
from app.commands.exit_codes import HELP, exit_code_of
from app.commands.session import Session
from app.threads import yield_at_barriers
from rootstock_client import RootstockError, __version__

cli = typer.Typer(
    name="rootstock",
    help="One pretrained encoder per table, a light head for every target, all predictions from one encoder pass.",
    epilog=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rootstock {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(help="Address of the service; default $ROOTSTOCK_URL, else the one of $ROOTSTOCK_HOME."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="API key; default $ROOTSTOCK_KEY (other users cannot see that), else the local admin key."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Results as JSON on stdout.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    ctx.obj = Session(url=url, key=key, as_json=as_json)


for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        cli.command(_name, rich_help_panel=_panel)(_command)
for _panel, _groups in GROUPS.items():
    for _name, _group in _groups.items():
        cli.add_typer(_group, name=_name, rich_help_panel=_panel)


def with_global_options_first(arguments: Sequence[str]) -> list[str]:
    """`rootstock tables list --json` means `rootstock --json tables list`; the same for `--url`.

    `--key` stays where it is: behind `register` and `demo` it names a column.
    """
    first: list[str] = []
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--":
            rest += [argument, *given]
        elif argument == "--json" or argument.startswith("--url="):
            first.append(argument)
        elif argument == "--url":
            first += [argument, *([value] if (value := next(given, None)) is not None else [])]
        else:
            rest.append(argument)
    return first + rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit; every failure is one message on stderr and a documented code."""
    given = sys.argv[1:] if arguments is None else arguments
    yield_at_barriers()
    try:
        cli(with_global_options_first(given), prog_name="rootstock")
    except RootstockError as error:
        say(f"error: {error}", style="red")
        sys.exit(exit_code_of(error))


if __name__ == "__main__":
    main()
