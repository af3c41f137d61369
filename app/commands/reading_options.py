"""How to read files on the command line: one declaration of the options for every command that uploads rows."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_PANEL = "How to read the file (found by itself where left out)"
FORMATS = ("csv", "parquet", "arrow", "json_lines")
QUOTES = {'"': '"', "'": "'", "": "", "none": ""}

Format = Annotated[
    str | None, typer.Option("--format", rich_help_panel=_PANEL, help=", ".join(FORMATS) + ".")
]
Delimiter = Annotated[str | None, typer.Option(rich_help_panel=_PANEL)]
Encoding = Annotated[str | None, typer.Option(rich_help_panel=_PANEL)]
Decimal = Annotated[str | None, typer.Option(rich_help_panel=_PANEL, help="Decimal mark: . or ,")]
Quote = Annotated[
    str | None, typer.Option(rich_help_panel=_PANEL, help="The quote: \" (default), ', or none.")
]
NullValues = Annotated[
    str | None,
    typer.Option(
        "--null-values",
        rich_help_panel=_PANEL,
        help="Cells that mean no value, with commas, instead of NA, null and so on: -200,n/a",
    ),
]
TextColumn = Annotated[
    list[str] | None,
    typer.Option("--text-column", rich_help_panel=_PANEL, help="A column whose cells stay text; repeatable."),
]
NoHeader = Annotated[bool, typer.Option("--no-header", rich_help_panel=_PANEL)]
SkipLines = Annotated[int | None, typer.Option(min=0, rich_help_panel=_PANEL, help="Lines above the header.")]
SkipRaggedRows = Annotated[
    bool, typer.Option("--skip-ragged-rows", rich_help_panel=_PANEL, help="Leave rows of a wrong length out.")
]
SkipOddRows = Annotated[
    bool, typer.Option("--skip-odd-rows", rich_help_panel=_PANEL, help="Leave rows unlike all others out.")
]


def reading_from(
    *,
    format: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    quote: str | None = None,
    null_values: str | None = None,
    text_columns: list[str] | None = None,
    no_header: bool = False,
    skip_lines: int | None = None,
    skip_ragged_rows: bool = False,
    skip_odd_rows: bool = False,
) -> dict[str, Any]:
    """The options that were given, as the service takes them.

    Raises:
        typer.BadParameter: a format or quote there is not.
    """
    if format is not None and format not in FORMATS:
        raise typer.BadParameter(f"--format is one of {', '.join(FORMATS)}; received {format!r}")
    if quote is not None and quote not in QUOTES:
        raise typer.BadParameter(f"--quote is \", ' or none; received {quote!r}")
    given: dict[str, Any] = {
        "format": format,
        "delimiter": delimiter,
        "encoding": encoding,
        "decimal": decimal,
        "quote": None if quote is None else QUOTES[quote],
        "null_values": None if null_values is None else [one.strip() for one in null_values.split(",")],
        "text_columns": text_columns or None,
        "has_header": False if no_header else None,
        "skip_lines": skip_lines,
        "ragged_rows": "skip" if skip_ragged_rows else None,
        "odd_rows": "skip" if skip_odd_rows else None,
    }
    return {name: value for name, value in given.items() if value is not None}
