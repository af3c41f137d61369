"""What a head may not see: computed here and pinned on the head when it is asked for.

A view is the sorted set of absent columns. All `target`-role columns are in it whoever asks, so heads of
`target`-role columns and of labels by key share one view, and with it one encoder pass.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.features.schema import Role, TableSchema


def absent_columns(schema: TableSchema, column: str | None, forbidden: Iterable[str]) -> tuple[str, ...]:
    """The view of a target: its own column, its forbidden columns, every `target`-role column; sorted."""
    absent = {column.name for column in schema.with_role(Role.TARGET)}
    absent.update(forbidden)
    if column is not None:
        absent.add(column)
    return tuple(sorted(absent))


def is_seen_in_pretraining(encoder_schema: TableSchema, column: str | None) -> bool:
    """Whether the encoder was trained with the target's own column among its tokens."""
    return column is not None and any(seen.name == column for seen in encoder_schema.encoded)


def stale_reason(encoder_schema: TableSchema, schema: TableSchema) -> str | None:
    """Why an encoder trained under one schema version does not fit another; None if it does.

    Only what becomes a token counts, by name and kind: notes and roles of other columns change nothing.
    """
    trained = {column.name: column.kind for column in encoder_schema.encoded}
    wanted = {column.name: column.kind for column in schema.encoded}
    if trained == wanted:
        return None
    parts = []
    if extra := sorted(trained.keys() - wanted.keys()):
        parts.append(f"it was trained with {some_of(extra)}, no longer features")
    if missing := sorted(wanted.keys() - trained.keys()):
        parts.append(f"it was trained without {some_of(missing)}")
    if changed := sorted(name for name in trained.keys() & wanted.keys() if trained[name] != wanted[name]):
        parts.append(f"the kind of {some_of(changed)} changed")
    return "; ".join(parts)


def some_of(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
