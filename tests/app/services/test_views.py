"""Views and what makes an encoder stale."""

from __future__ import annotations

from app.services.views import absent_columns, is_seen_in_pretraining, stale_reason
from models.features.schema import ColumnKind, ColumnSchema, Role, TableSchema


def column(name: str, role: Role = Role.FEATURE, kind: ColumnKind = ColumnKind.CONTINUOUS) -> ColumnSchema:
    return ColumnSchema(name=name, kind=kind, role=role, storage_type="float")


SCHEMA = TableSchema(
    columns=(
        column("id", Role.KEY, ColumnKind.IDENTIFIER),
        column("b"),
        column("a"),
        column("t2", Role.TARGET),
        column("t1", Role.TARGET),
        column("note", kind=ColumnKind.IDENTIFIER),
    )
)


def test__view__target_role_columns_and_labels_by_key__share_one() -> None:
    shared = ("t1", "t2")
    assert absent_columns(SCHEMA, None, ()) == shared
    assert absent_columns(SCHEMA, "t1", ()) == shared
    assert absent_columns(SCHEMA, "t2", ("t1",)) == shared


def test__view__feature_column_and_forbidden__are_absent_and_sorted() -> None:
    assert absent_columns(SCHEMA, "b", ("a", "a")) == ("a", "b", "t1", "t2")


def test__seen__only_what_was_a_token() -> None:
    assert is_seen_in_pretraining(SCHEMA, "a")
    assert not is_seen_in_pretraining(SCHEMA, "t1")
    assert not is_seen_in_pretraining(SCHEMA, "note")
    assert not is_seen_in_pretraining(SCHEMA, None)


def changed(name: str, **update: object) -> TableSchema:
    return TableSchema(
        columns=tuple(c.model_copy(update=update) if c.name == name else c for c in SCHEMA.columns)
    )


def test__stale__tokens_change__says_which() -> None:
    assert stale_reason(SCHEMA, SCHEMA) is None
    assert "no longer" in str(stale_reason(SCHEMA, changed("a", role=Role.TARGET)))
    assert "without t1" in str(stale_reason(SCHEMA, changed("t1", role=Role.FEATURE)))
    assert "kind of a" in str(stale_reason(SCHEMA, changed("a", kind=ColumnKind.CATEGORICAL)))


def test__stale__what_is_no_token_changes__nothing() -> None:
    assert stale_reason(SCHEMA, changed("note", kind=ColumnKind.CONSTANT)) is None
    assert stale_reason(SCHEMA, changed("a", evidence="other words")) is None
