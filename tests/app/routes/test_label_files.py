"""Labels in CSV and Parquet files: the same merging as JSON; what is wrong is named by line, never by content."""

from __future__ import annotations

import io
from typing import Any

import httpx
import polars as pl
import pytest

from tests.app.routes.labels import counts, download_labels, make_target, post_labels, stored_labels
from tests.app.routes.service import Service, code_of

SECRET = "Okonkwo-4711"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def target(people: Service) -> str:
    return make_target(people)


def send(
    service: Service, target: str, content: bytes | str | pl.DataFrame, media: str = CSV, **params: Any
) -> httpx.Response:
    if isinstance(content, pl.DataFrame):
        buffer = io.BytesIO()
        content.write_parquet(buffer)
        content, media = buffer.getvalue(), PARQUET
    headers = {"Content-Type": media}
    if "idempotency_key" in params:
        headers["Idempotency-Key"] = params.pop("idempotency_key")
    return service.http.post(
        f"/v1/tables/people/targets/{target}/labels", content=content, headers=headers, params=params
    )


def test__file__csv__is_merged_like_json(people: Service, target: str) -> None:
    assert counts(send(people, target, "key,value\np1,a\np2,b\nnobody,a\n")) == (3, 0, 0, 1, 2)
    assert counts(send(people, target, "value;key\n;p2\nb;p1\n")) == (1, 1, 1, 0, 1)
    assert stored_labels(people, target, 2) == {"p1": ("b", None, None), "nobody": ("a", None, None)}


def test__file__parquet__keeps_types(people: Service, target: str) -> None:
    frame = pl.DataFrame({"key": ["p1", "p2", "p3"], "value": [1, None, 0], "weight": [1.5, None, 2.0]})
    assert counts(send(people, target, frame)) == (2, 0, 0, 0, 2)
    assert stored_labels(people, target, 1) == {"p1": (1, None, 1.5), "p3": (0, None, 2.0)}
    text = make_target(people)
    send(people, text, frame.with_columns(pl.col("value").cast(pl.String)))
    assert stored_labels(people, text, 1)["p1"] == ("1", None, 1.5)


def test__file__columns__are_named_in_the_query(people: Service, target: str) -> None:
    content = "customer,score,noted,trust,comment\np1,1,2024-05-01T10:00:00+02:00,2,x\np2,0,1714550400,1,y\n"
    answer = send(people, target, content, key="customer", value="score", at="noted", weight="trust")
    assert counts(answer) == (2, 0, 0, 0, 2)
    assert stored_labels(people, target, 1) == {"p1": (1, 1714550400.0, 2.0), "p2": (0, 1714550400.0, 1.0)}
    plain = send(people, target, content, key="customer", value="score")
    assert plain.status_code == 200
    assert stored_labels(people, target, 2)["p1"] == (1, None, None)


@pytest.mark.parametrize("spelled", ["01", "1e5", "NA", "None", "=1+1"])
def test__file__text_labels__stay_what_they_are(people: Service, target: str, spelled: str) -> None:
    answer = send(people, target, f'key,value\np1,"{spelled}"\np2,{spelled}\np3,yes\n')
    assert answer.status_code == 200, answer.text
    assert {value for value, *_ in stored_labels(people, target, 1).values()} == {spelled, "yes"}


def test__file__labels_that_look_like_numbers__follow_the_target_or_the_query(
    people: Service, target: str
) -> None:
    assert send(people, target, "key,value\np1,1\np2,2\n", text=True).json()["classes"] == ["1", "2"]
    assert send(people, target, "key,value\np3,2\n").status_code == 200
    other = make_target(people)
    assert send(people, other, "key,value\np1,1\np2,2\n").json()["classes"] == [1, 2]


@pytest.mark.parametrize(
    ("content", "params", "code", "places"),
    [
        ("", {}, "empty_file", None),
        ("key,value\n", {}, "header_only", None),
        ("key,label\np1,a\n", {}, "label_column_missing", None),
        ("key,value\np1,a\n", {"at": "when"}, "label_column_missing", None),
        ("key,value\np1,a\n", {"value": "key"}, "label_column_repeated", None),
        (f'key,value\np1,a\n"x\ny",b\np1,{SECRET}\n', {}, "duplicate_key", [5]),
        (f"key,value\np1,{SECRET}\n,b\n", {}, "null_key", [3]),
        (f"key,value\np1,a\n{'k' * 1001},b\n", {}, "invalid_key", [3]),
        (f"key,value\np1,a\np2,{SECRET * 30}\n", {}, "invalid_label", [3]),
        (f"key,value,at\np1,a,2024-01-01\np2,b,{SECRET}\n", {}, "invalid_at", [3]),
        ("key,value,at\np1,a,1e300\np2,b,5.5\n", {}, "invalid_at", None),
        ("key,value,weight\np1,a,1\np2,b,0\np3,b,-2\n", {}, "invalid_weight", [3, 4]),
        (f"key,value,weight\np1,a,1\np2,b,{SECRET}\n", {}, "invalid_weight", None),
        ("key,value\np1,2024-01-01\np2,2024-01-02\n", {}, "unsupported_label_type", None),
        ("key,value\nnobody,a\n", {}, "no_label_matches", None),
        ("key,value\np1,a\nnobody,b\n", {"strict": True}, "unmatched_keys", [3]),
        ("key,value,value\np1,a,b\n", {}, "duplicate_column", None),
        ("key,value\np1,a\np2\n", {}, "ragged_row", None),
        ("key,value\np1,a\0\n", {}, None, None),
        (b"key,value\np1,a\np2,\xff\xfe\x81\x8d\n", {}, None, None),
        (b"PAR1" + b"\0" * 60 + b"PAR1", {}, None, None),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(200)), {}, None, None),
    ],
)
def test__file__that_cannot_be__is_refused_by_line_and_leaves_nothing(
    people: Service, target: str, content: str | bytes, params: dict[str, Any], code: str | None, places: Any
) -> None:
    before = people.footprint()
    answer = send(people, target, content, **params)
    if answer.status_code == 200:  # a byte of a known code page is a letter
        assert code is None
        return
    assert answer.status_code == 422, answer.text
    assert code in (None, code_of(answer)), answer.text
    assert SECRET not in answer.text
    if places is not None:
        assert answer.json()["details"]["lines"] == places
    assert people.footprint() == before


def test__file__damaged_parquet_and_wrong_types__are_refused(people: Service, target: str) -> None:
    assert send(people, target, b"key,value\np1,a\n", PARQUET).status_code == 422
    floats = pl.DataFrame({"key": [1.0, 2.0], "value": ["a", "b"]})
    assert code_of(send(people, target, floats)) == "invalid_key"
    repeated = pl.DataFrame({"key": ["p1", "p2", "p1"], "value": ["a", "b", "a"]})
    answer = send(people, target, repeated)
    assert (code_of(answer), answer.json()["details"]["rows"]) == ("duplicate_key", [3])
    endless = pl.DataFrame({"key": ["p1"], "value": [float("inf")]})
    assert send(people, target, endless).status_code in (200, 422)


def test__file__too_large__is_refused(people: Service, target: str) -> None:
    big = b"key,value\n" + b"p1,a\n" * (people.settings.max_body_bytes // 5)
    answer = send(people, target, big)
    assert (answer.status_code, code_of(answer)) == (413, "body_too_large")


def test__file__repeated_under_one_key__counts_once(people: Service, target: str) -> None:
    first = send(people, target, "key,value\np1,a\np2,b\n", idempotency_key=f"{target}-f")
    again = send(people, target, "key,value\np1,a\np2,b\n", idempotency_key=f"{target}-f")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    other = send(people, target, "key,value\np1,a\np2,b\n", idempotency_key=f"{target}-f", replace=True)
    assert code_of(other) == "idempotency_mismatch"


def test__replace__withdraws_every_other_label(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "a", "p2": "b", "p3": "a", "nobody": "b"})
    assert counts(send(people, target, "key,value\np2,a\np4,b\n", replace=True)) == (2, 1, 3, 0, 2)
    assert set(stored_labels(people, target, 2)) == {"p2", "p4"}
    answer = post_labels(people, target, {"p9": "b"}, replace=True)
    assert counts(answer) == (1, 0, 2, 0, 1)
    assert code_of(post_labels(people, target, {"nobody": "a"}, replace=True)) == "no_label_matches"


def test__json__with_options_in_the_query__is_refused(people: Service, target: str) -> None:
    answer = people.http.post(
        f"/v1/tables/people/targets/{target}/labels?strict=true", json={"labels": [{"key": "p1", "value": 1}]}
    )
    assert code_of(answer) == "options_in_query"


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ("2024-05-01", 1714521600.0),
        ("2024-05-01T10:00:00", 1714557600.0),
        ("2024-05-01T10:00:00+02:00", 1714550400.0),
        ("2024-05-01T08:00:00Z", 1714550400.0),
        (1714550400, 1714550400.0),
        (None, None),
    ],
)
def test__at__text_or_seconds__is_one_moment(people: Service, target: str, at: Any, seconds: Any) -> None:
    assert post_labels(people, target, [{"key": "p1", "value": "a", "at": at}]).status_code == 200
    assert stored_labels(people, target, 1) == {"p1": ("a", seconds, None)}


@pytest.mark.parametrize("at", ["yesterday", "", True, 1e300, "0001-01-01T00:00:00+14:00", [], "2024-13-01"])
def test__at__that_is_no_moment__is_refused(people: Service, target: str, at: Any) -> None:
    answer = post_labels(people, target, [{"key": "p1", "value": "a", "at": at}])
    assert (answer.status_code, code_of(answer)) == (422, "invalid_at")


def test__export__csv__guards_formulas_and_can_be_sent_again(people: Service, target: str) -> None:
    post_labels(people, target, {"p1": "=cmd()", "p2": "@x", "p3": "-5", "p4": "plain"})
    shown = pl.read_csv(io.BytesIO(download_labels(people, target, 1, "csv")), infer_schema=False)
    assert shown["value"].to_list() == ["'=cmd()", "'@x", "-5", "plain"]
    copy = make_target(people)
    parquet = download_labels(people, target, 1, "parquet")
    assert send(people, copy, parquet, PARQUET).status_code == 200
    assert stored_labels(people, copy, 1) == stored_labels(people, target, 1)


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test__file__parquet__times_beyond_the_years__are_refused_with_row_and_column(
    people: Service, target: str, zone: str | None
) -> None:
    at = pl.Series([0, -(2**63) + 1, 2**63 - 1]).cast(pl.Datetime("ms", zone))
    answer = send(
        people, target, pl.DataFrame({"key": ["p1", "p2", "p3"], "value": ["a", "b", "a"], "at": at})
    )
    assert (answer.status_code, code_of(answer)) == (422, "value_out_of_range")
    assert answer.json()["details"] == {"row": 1, "column": "at"}


def test__file__parquet__times_at_the_ends_of_nanoseconds__are_taken(people: Service, target: str) -> None:
    at = pl.Series([-(2**63) + 1, 2**63 - 1]).cast(pl.Datetime("ns"))
    answer = send(people, target, pl.DataFrame({"key": ["p1", "p2"], "value": ["a", "b"], "at": at}))
    assert answer.status_code < 300, answer.text
