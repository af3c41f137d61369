"""`--data`: the folder of real tables that a benchmark runs on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def parser_with_data(description: str | None) -> argparse.ArgumentParser:
    """A parser of a benchmark's command line; `description` is its module's docstring."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA", "../shared/data")))
    return parser


def parsed_with_data(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line of this process.

    Raises:
        SystemExit: `--data` is no folder with a manifest.
    """
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.json").is_file():
        raise SystemExit("no folder of real tables: set DATA=dir to one with a manifest.json")
    return arguments
