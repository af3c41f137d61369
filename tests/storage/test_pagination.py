"""Pages: complete, in order, unmoved by new rows; a cursor that was not issued is refused."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.engine import Database
from storage.errors import InvalidCursor
from storage.repositories.pagination import MAX_PAGE, decode_cursor, encode_cursor


def test__list__page_by_page__is_everything_once_newest_first(database: Database) -> None:
    with database.writing() as uow:
        workspace, other = uow.workspaces.get_or_create("default"), uow.workspaces.get_or_create("other")
        made = [uow.tables.add(workspace.id, f"t{number}", {}).id for number in range(7)]
        uow.tables.add(other.id, "hidden", {})
    seen: list[str] = []
    cursor = None
    while True:
        with database.writing() as uow:
            page = uow.tables.list(workspace.id, 3, cursor)
            uow.tables.add(workspace.id, f"made-while-paging-{len(seen)}", {})
        seen += [table.id for table in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize(("limit", "expected"), [(0, 1), (-5, 1), (2, 2), (3, 3), (10**30, 3)])
def test__list__limit__is_held_within_bounds(database: Database, limit: int, expected: int) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        for number in range(3):
            uow.tables.add(workspace.id, f"t{number}", {})
        assert len(uow.tables.list(workspace.id, limit).items) == expected
        assert uow.tables.list(workspace.id, MAX_PAGE).next_cursor is None


def test__list__exactly_one_page__has_no_next(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        uow.tables.add(workspace.id, "t", {})
        assert uow.tables.list(workspace.id, 1).next_cursor is None
        assert uow.jobs.list(workspace.id).next_cursor is None


@given(
    at=st.floats(allow_nan=False, allow_infinity=False),
    row_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
)
def test__cursor__round_trips(at: float, row_id: str) -> None:
    assert decode_cursor("tables", encode_cursor("tables", at, row_id)) == (at, row_id)


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


NOT_OUR_PAIRS: list[object] = [
    *(None, [], {}, ["tables"], ["tables", "1", "x"], ["tables", True, "x"], ["jobs", 1.0, "job_1"]),
    *(["tables", 1.0, 2], ["tables", 1.0, "a\x00"], ["tables", 1.0, "x", 1], ["tables", 10**400, "x"]),
    *(["tables", float("nan"), "x"], ["tables", float("inf"), "x"], ["tables", [[]] * 50, "x"]),
]
BAD_CURSORS = [
    *("", "x", "====", "é", "\x00", "null", "a" * 10_000),
    *map(_encoded, NOT_OUR_PAIRS),
    encode_cursor("tables", 1.0, "x") + "!",
    " " + encode_cursor("tables", 1.0, "x"),
]


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test__list__cursor_it_did_not_issue__is_refused(database: Database, cursor: str) -> None:
    with database.reading() as uow, pytest.raises(InvalidCursor) as refusal:
        uow.tables.list("ws_any", 10, cursor)
    assert refusal.value.code == "invalid_cursor"


@given(st.text(max_size=100))
def test__decode_cursor__any_text__is_refused_or_valid(cursor: str) -> None:
    try:
        decode_cursor("tables", cursor)
    except InvalidCursor:
        return
    assert decode_cursor("tables", cursor)
