"""`zip=categorical`, `churned=target` and splits on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def split_names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def split_from(by: str | None, cutoff: str | None) -> dict[str, str | float] | None:
    """A split by its name, perhaps with a cutoff: a number where it is written like one."""
    if cutoff is None:
        return None if by is None else {"by": by}
    try:
        moment: str | float = int(cutoff) if cutoff.lstrip("-").isdigit() else float(cutoff)
    except ValueError:
        moment = cutoff
    return {"by": by or "time", "cutoff": moment}


def overrides_from(words: Iterable[str]) -> dict[str, dict[str, str]]:
    """`NAME=WORD[,WORD]` by column; a word is a kind or a role, and none is both.

    Raises:
        typer.BadParameter: no `=`, or a word that is neither.
    """
    from models.features.schema import ColumnKind, Role

    kinds, roles = {kind.value for kind in ColumnKind}, {role.value for role in Role}
    overrides: dict[str, dict[str, str]] = {}
    for text in words:
        name, equals, said = text.rpartition("=")
        if not equals or not name:
            raise typer.BadParameter(
                f"expected NAME=KIND or NAME=ROLE, such as zip=categorical; received {text!r}"
            )
        for word in split_names(said):
            if word not in kinds | roles:
                raise typer.BadParameter(
                    f"{word!r} is neither a kind ({', '.join(sorted(kinds))}) nor a role ({', '.join(sorted(roles))})"
                )
            overrides.setdefault(name, {})["kind" if word in kinds else "role"] = word
    return overrides
