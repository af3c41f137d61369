"""New snapshots over HTTP: modes, conflicts, drift, restoring, and that what is refused leaves nothing."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import polars as pl
import pytest

from tests.app.routes.service import PEOPLE_ROLES, Service, code_of, people_csv

SNAPSHOTS = "/v1/tables/people/snapshots"


def people(first: int, count: int, **columns: Any) -> bytes:
    """Rows `p<first>` … of the table `people`."""
    frame = pl.read_csv(io.BytesIO(people_csv(count, seed=first)))
    frame = frame.with_columns(pl.Series("id", [f"p{row}" for row in range(first, first + count)]))
    return frame.with_columns(**columns).write_csv().encode()


def post(service: Service, content: bytes, *, table: str = "people", **fields: Any) -> httpx.Response:
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    headers = {"Idempotency-Key": data.pop("idempotency_key")} if "idempotency_key" in data else {}
    files = {"file": ("more.csv", content, "application/octet-stream")}
    return service.http.post(f"/v1/tables/{table}/snapshots", data=data, files=files, headers=headers)


def run(service: Service, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    service.work()
    return service.job(answer)


@pytest.fixture
def ready(service: Service) -> Service:
    service.ready_table("people", num_rows=120)
    return service


def test__append__new_rows__become_the_next_snapshot(ready: Service) -> None:
    answer = post(ready, people(120, 80), mode="append")
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
    assert answer.json()["table"]["status"] == "ready"
    job = run(ready, answer)
    assert job["status"] == "succeeded", job
    result = job["result"]
    assert (result["snapshot"], result["mode"], result["parent"], result["num_rows"]) == (2, "append", 1, 200)
    assert result["changes"] == {"added": 80, "updated": 0, "unchanged": 120, "removed": 0, "kept": 0}
    assert result["stale"] == []
    listed = ready.http.get(SNAPSHOTS).json()["snapshots"]
    assert [(one["version"], one["mode"], one["parent"], one["is_current"]) for one in listed] == [
        (2, "append", 1, True),
        (1, "replace", None, False),
    ]
    one = ready.http.get(f"{SNAPSHOTS}/2").json()
    assert one["changes"]["added"] == 80
    assert one["drift_report"]["rows"] == {"before": 120, "incoming": 80, "after": 200}
    assert ready.http.get(one["profile"]).json()["num_rows"] == 200
    assert ready.http.get("/v1/tables/people/profile?snapshot=1").json()["num_rows"] == 120
    assert ready.http.get("/v1/tables/people").json()["num_rows"] == 200


@pytest.mark.parametrize(
    ("content", "fields", "status", "code"),
    [
        (people(200, 5), {}, 422, "invalid_request"),
        (people(200, 5), {"mode": "merge"}, 422, "invalid_request"),
        (people(200, 5), {"mode": "append", "on_conflict": "ignore"}, 422, "invalid_request"),
        (people(200, 5), {"mode": "replace", "on_conflict": "keep"}, 422, "conflict_not_applicable"),
        (people(200, 5), {"mode": "append", "drift": "maybe"}, 422, "invalid_request"),
        (people(200, 5), {"mode": "append", "parent": 7}, 409, "snapshot_outdated"),
        (people(200, 5), {"mode": "append", "parent": "0"}, 422, "invalid_request"),
        (people(200, 5), {"mode": "append", "columns": {"age": {"role": "key"}}}, 422, "role_is_fixed"),
        (people(200, 5), {"mode": "append", "columns": {"x": {"role": "drop"}}}, 422, "unknown_column"),
        (people(200, 5), {"mode": "append", "name": "other"}, 422, "unknown_field"),
        (people(200, 5), {"mode": "append", "split": {"by": "key", "cutoff": 3}}, 422, "invalid_request"),
        (b"age,city\n1,Oslo\n", {"mode": "upsert"}, 422, "missing_key_column"),
        (b"", {"mode": "append"}, 422, "empty_file"),
        (b"id,age\n", {"mode": "append"}, 422, "header_only"),
    ],
)
def test__request__that_cannot_be__is_refused_at_once_and_leaves_nothing(
    people: Service, content: bytes, fields: dict[str, Any], status: int, code: str
) -> None:
    before = people.footprint()
    answer = post(people, content, **fields)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert people.footprint() == before


def test__table__unknown_or_still_registering__takes_no_snapshot(service: Service) -> None:
    assert code_of(post(service, people(0, 5), mode="append")) == "table_not_found"
    service.register("people", people_csv(50), columns=PEOPLE_ROLES)
    before = service.footprint()
    answer = post(service, people(50, 5), mode="append")
    assert (answer.status_code, code_of(answer)) == (409, "table_not_ready")
    assert service.footprint() == before


@pytest.mark.parametrize(
    ("content", "fields", "code"),
    [
        (people(100, 40), {"mode": "append"}, "key_exists"),
        (people(200, 40) + b"p200,30,Oslo,1000,No\n", {"mode": "append"}, "duplicate_key"),
        (people(200, 40) + b",30,Oslo,1000,No\n", {"mode": "upsert"}, "null_key"),
        (people(200, 40) + b"p900,30,Oslo,1000,No,6\n", {"mode": "replace"}, "ragged_row"),
        (people(200, 40, age=pl.lit("old")), {"mode": "append"}, "drift_refused"),
    ],
)
def test__job__that_cannot_be_done__fails_and_the_old_snapshot_stays(
    ready: Service, content: bytes, fields: dict[str, Any], code: str
) -> None:
    objects = ready.footprint()["objects"]
    job = run(ready, post(ready, content, **fields))
    assert (job["status"], job["error"]["code"]) == ("failed", code), job
    assert ready.footprint()["objects"] == objects
    table = ready.http.get("/v1/tables/people").json()
    assert (table["status"], table["num_rows"], table["snapshot"]["version"]) == ("ready", 120, 1)


def test__drift__severe__is_refused_with_a_report_and_taken_when_accepted(ready: Service) -> None:
    odd = people(200, 60, city=pl.lit("Atlantis"), age=pl.col("age").cast(pl.String) + " years")
    refused = run(ready, post(ready, odd, mode="append"))
    report = refused["error"]["details"]["drift"]
    assert report["severity"] == "severe"
    assert report["retyped"] == [{"column": "age", "from": "integer", "to": "string"}]
    assert report["columns"]["city"]["unseen_share"] == 1.0
    assert "Atlantis" not in json.dumps(refused)
    assert "'age'" in refused["error"]["message"]
    accepted = run(ready, post(ready, odd, mode="append", drift="accept"))
    assert accepted["status"] == "succeeded", accepted
    columns = {column["name"]: column for column in ready.http.get("/v1/tables/people").json()["columns"]}
    assert columns["age"]["storage_type"] == "string"
    assert ready.http.get(f"{SNAPSHOTS}/2").json()["drift"] == "severe"
    assert ready.http.get("/v1/tables/people").json()["schema_version"] == 2


def test__upsert__with_new_and_known_keys__updates_and_says_what_is_stale(ready: Service) -> None:
    from tests.app.routes.records import ready_encoder

    ready_encoder(ready, "people")
    content = people(100, 40, extra=pl.lit(1.5) + pl.int_range(pl.len()))
    job = run(ready, post(ready, content, mode="upsert", columns={"extra": {"kind": "continuous"}}))
    assert job["status"] == "succeeded", job
    assert (job["result"]["changes"]["added"], job["result"]["changes"]["updated"]) == (20, 20)
    assert job["result"]["stale"] == [{"encoder": 1, "reason": "it was trained without extra"}]
    assert ready.http.get(f"{SNAPSHOTS}/2").json()["drift_report"]["added"] == ["extra"]


def test__snapshots__posted_together__all_count(ready: Service) -> None:
    answers = [post(ready, people(start, 10), mode="append") for start in (200, 300, 400, 500)]
    ready.work()
    assert [ready.job(answer)["status"] for answer in answers] == ["succeeded"] * 4
    table = ready.http.get("/v1/tables/people").json()
    assert (table["num_rows"], table["snapshot"]["version"]) == (160, 5)


def test__snapshot__for_a_parent_that_is_gone_by__fails_cleanly(ready: Service) -> None:
    first = post(ready, people(200, 10), mode="append", parent=1)
    second = post(ready, people(300, 10), mode="append", parent=1)
    ready.work()
    assert ready.job(first)["status"] == "succeeded"
    assert ready.job(second)["error"]["code"] == "snapshot_outdated"
    assert ready.http.get("/v1/tables/people").json()["num_rows"] == 130


def test__snapshot__repeated_under_one_key__is_made_once(ready: Service) -> None:
    first = post(ready, people(200, 10), mode="append", idempotency_key="k1")
    again = post(ready, people(200, 10), mode="append", idempotency_key="k1")
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = post(ready, people(200, 10), mode="upsert", idempotency_key="k1")
    assert (other.status_code, code_of(other)) == (422, "idempotency_mismatch")
    ready.work()
    assert ready.http.get("/v1/tables/people").json()["snapshot"]["version"] == 2


def test__restore__earlier_rows__are_current_again_without_a_copy(ready: Service) -> None:
    run(ready, post(ready, people(60, 30), mode="replace"))
    objects = ready.footprint()["objects"]
    assert code_of(ready.http.post(f"{SNAPSHOTS}/2/restore")) == "already_current"
    assert code_of(ready.http.post(f"{SNAPSHOTS}/9/restore")) == "snapshot_not_found"
    answer = ready.http.post(f"{SNAPSHOTS}/1/restore", headers={"Idempotency-Key": "undo"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{SNAPSHOTS}/3"
    body = answer.json()
    assert (body["version"], body["mode"], body["parent"], body["num_rows"]) == (3, "restore", 1, 120)
    assert (body["changes"]["added"], body["changes"]["removed"]) == (90, 0)
    assert ready.footprint()["objects"] == objects
    again = ready.http.post(f"{SNAPSHOTS}/1/restore", headers={"Idempotency-Key": "undo"})
    assert (again.status_code, again.json()) == (201, body)
    assert ready.http.get("/v1/tables/people").json()["snapshot"]["version"] == 3
    ready.http.delete("/v1/tables/people").raise_for_status()
    assert ready.footprint()["objects"] == []


def test__registration__split_by_a_role_that_no_column_has__is_refused(people: Service) -> None:
    before = people.footprint()
    for by in ("group", "key"):
        answer = people.register("fresh", people_csv(20), split={"by": by})
        assert (answer.status_code, code_of(answer)) == (422, f"no_{by}_column")
    assert people.footprint() == before


def test__split_by_time__with_a_cutoff__later_rows_evaluate(service: Service) -> None:
    def days(first: int, count: int) -> bytes:
        rows = "".join(f"{row},2024-01-{row + 1:02},{row * 0.5}\n" for row in range(first, first + count))
        return f"id,day,x\n{rows}".encode()

    columns = {"id": {"role": "key"}, "day": {"role": "time"}}
    answer = service.register(
        "people", days(0, 20), columns=columns, split={"by": "time", "cutoff": "2024-01-16"}
    )
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    split = service.http.get("/v1/tables/people/profile").json()["split"]
    assert (split["by"], split["cutoff"]) == ("time", "2024-01-16")
    assert split["sides"]["evaluation"] == {
        "rows": 5,
        "share": 0.25,
        "time": ["2024-01-16 00:00:00", "2024-01-20 00:00:00"],
    }
    assert run(service, post(service, days(20, 10), mode="append"))["status"] == "succeeded"
    assert service.http.get("/v1/tables/people/profile").json()["splits"] == {"train": 15, "evaluation": 15}
