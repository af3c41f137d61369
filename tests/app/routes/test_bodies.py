"""JSON bodies: strict, bounded, and refused without repeating what they said."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.routes.edge.strict_json import is_deeper_than, parse_json
from tests.app.routes.operations import OPERATIONS, Operation
from tests.app.routes.service import Service, code_of

JSON = {"Content-Type": "application/json"}
SECRET = "Okonkwo-4711"
WITH_BODY = [operation for operation in OPERATIONS if operation.json is not None]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=20,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(json_values, st.integers(0, 6))
def test__depth__any_document__is_that_of_the_parsed_value(value: object, max_depth: int) -> None:
    assert is_deeper_than(orjson.dumps(value), max_depth) is (depth_of(value) > max_depth)


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "[-Infinity]", "[1e999]", "[-1e999]", "{'a':1}", "{a:1}", "[1,]", "", " ", "{", '"\\ud800"', "[01]",
     "\ufeff{}", "nul", "[1] []", "1" * 400, '{"a":1}x', "// c\n{}"],
)  # fmt: skip
def test__json__not_strict__is_refused_by_place_only(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_json(text.encode(), max_depth=8)
    assert refused.value.code == "invalid_json"
    assert refused.value.details["line"] >= 1


def test__json__too_deep__is_refused_before_and_after_the_parsers_own_limit() -> None:
    for depth in (9, 1_000, 100_000):
        with pytest.raises(BadRequest):
            parse_json(b"[" * depth + b"]" * depth, max_depth=8)
    assert parse_json(b"[" * 8 + b"]" * 8, max_depth=8) == [[[[[[[[]]]]]]]]


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test__body__not_json__is_refused_and_changes_nothing(people: Service, operation: Operation) -> None:
    before = people.footprint()
    for content in (
        b"{",
        b"NaN",
        b'{"a": 1e999}',
        b"\xff\xfe",
        b"[" * 500 + b"]" * 500,
        b'"' + SECRET.encode(),
    ):
        answer = people.http.request(operation.method, operation.path, content=content, headers=JSON)
        assert answer.status_code == 400, answer.text
        assert code_of(answer) in ("invalid_json", "json_too_deep")
        assert SECRET not in answer.text
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "",
    ):
        answer = people.http.request(
            operation.method, operation.path, content=b"{}", headers={"Content-Type": content_type}
        )
        assert (answer.status_code, code_of(answer)) == (415, "unsupported_media_type")
    for text in ("[]", '"x"', "3", "null", "true", orjson.dumps({"no_such_field_here": SECRET}).decode()):
        answer = people.http.request(operation.method, operation.path, content=text, headers=JSON)
        assert answer.status_code == 422, (text, answer.text)
        assert SECRET not in answer.text
    assert people.footprint() == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("encoders", {"max_seconds": SECRET}),
        ("encoders", {"max_seconds": "60"}),
        ("encoders", {"max_seconds": -1}),
        ("encoders", {"max_seconds": True}),
        ("encoders", {"architecture": {"kind": SECRET}}),
        ("encoders", {"architecture": {"kind": "column_transformer", "d_model": 10**9}}),
        ("encoders", {"objectives": []}),
        ("encoders", {"objectives": [{"kind": SECRET}]}),
        ("targets", {"name": "../x"}),
        ("targets", {"name": "a" * 64}),
        ("targets", {"name": "ok", "task": SECRET}),
        ("targets", {"name": "ok", "positive": [SECRET]}),
        ("targets", {"name": "ok", "forbidden_columns": SECRET}),
        ("fine-tunes", {"targets": []}),
        ("fine-tunes", {"targets": SECRET}),
        ("fine-tunes", {"targets": "*", "head": {"kind": SECRET}}),
        ("fine-tunes", {"targets": "*", "labels": {"limit": 0}}),
        ("fine-tunes", {"targets": "*", "alias": "../x"}),
    ],
)
def test__body__wrong_value__is_refused_without_repeating_it(
    people: Service, path: str, body: object
) -> None:
    before = people.footprint()
    answer = people.http.post(f"/v1/tables/people/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert SECRET not in answer.text
    assert answer.json()["errors"][0]["location"]
    assert people.footprint() == before


def test__body__empty_where_all_is_optional__means_the_defaults(service: Service) -> None:
    answer = service.http.post("/v1/tables/nothing/encoders")
    assert (answer.status_code, code_of(answer)) == (404, "table_not_found")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/tables/My Table", "a name has 1 to 63 of a-z, 0-9, _ and -"),
        ("/v1/jobs/latest", "a job id looks like job_"),
    ],
)
def test__address__with_a_name_or_id_that_cannot_be__says_in_words_what_one_looks_like(
    service: Service, path: str, words: str
) -> None:
    answer = service.http.get(path)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert "pattern" not in answer.text.replace("string_pattern_mismatch", "")
