"""Erasing rows by key: nothing of them is left, everything else is as it was, and the receipt says so."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from app.jobs import JOB_KINDS
from app.jobs.contract import ResultOutdated, Task
from app.services.erasures import settle_receipts
from models.errors import Interrupted
from models.progress import never_stop, no_progress
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.sweep import sweep
from tests.app.routes.filled import KEY, SECRET, filled_service, is_clean
from tests.app.routes.service import Service, code_of

OTHERS = [f"p{row}" for row in range(0, 240, 3)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = filled_service(tmp_path / "home")
    yield service
    service.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For tests that erase nothing."""
    service = filled_service(tmp_path_factory.mktemp("shared") / "home")
    yield service
    service.close()


def predictions(service: Service, keys: list[str] = OTHERS) -> JsonObject:
    body = {"targets": ["churn:1", "likes:1"], "keys": keys}
    answer = service.http.post("/v1/tables/people/predict", json=body)
    assert answer.status_code == 200, answer.text
    found: JsonObject = answer.json()["predictions"]
    return found


def erase(service: Service, *keys: str) -> tuple[JsonObject, JsonObject]:
    """The 202 and the receipt."""
    answer = service.http.post("/v1/tables/people/erasures", json={"keys": list(keys)})
    assert answer.status_code == 202, answer.text
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    accepted = answer.json()
    receipt = service.http.get(f"/v1/tables/people/erasures/{accepted['erasure']}")
    assert receipt.status_code == 200, receipt.text
    return accepted, receipt.json()


def places_of(service: Service, text: str) -> list[str]:
    """Files under the home that have `text`: as it is, or within a Parquet file."""
    found = []
    for path in service.settings.home.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if content[:4] == b"PAR1":
            content += str(pl.read_parquet(path).to_dict(as_series=False)).encode()
        if text.encode() in content:
            found.append(path.name)
    return found


def test__erasure__of_a_row__leaves_nothing_of_it_and_all_else_as_it_was(service: Service) -> None:
    assert places_of(service, KEY)
    assert places_of(service, SECRET)
    before = predictions(service)
    num_rows = [
        one["num_rows"] for one in service.http.get("/v1/tables/people/snapshots").json()["snapshots"]
    ]
    accepted, receipt = erase(service, KEY, "parked-1", "nobody-knows")
    assert receipt["status"] == "completed"
    assert (receipt["keys_requested"], receipt["keys_found"]) == (3, 2)
    places = receipt["places"]
    assert places["snapshots"] == [{"version": 1, "rows": 1}, {"version": 2, "rows": 1}]
    assert [(one["version"], one["labels"]) for one in places["label_sets"]] == [(1, 1), (2, 2)]
    assert places["objects_removed"] >= 4
    assert KEY not in json.dumps([accepted, receipt])
    digest = hmac.new(bytes.fromhex(accepted["salt"]), KEY.encode(), "sha256").hexdigest()
    assert digest in receipt["keys_hmac_sha256"]
    assert predictions(service) == before
    gone = service.http.post("/v1/tables/people/predict", json={"targets": ["churn:1"], "keys": [KEY]})
    assert code_of(gone) == "key_not_found"
    after = service.http.get("/v1/tables/people/snapshots").json()["snapshots"]
    assert [one["num_rows"] for one in after] == [number - 1 for number in num_rows]
    service.container.database.dispose()  # the write-ahead log goes with the last connection
    for text in (KEY, SECRET, "parked-1", accepted["salt"]):
        assert places_of(service, text) == []
    assert is_clean(service)
    listed = service.http.get("/v1/tables/people/erasures").json()
    assert [one["erasure"] for one in listed["erasures"]] == [accepted["erasure"]]
    assert listed["unfinished"] == []


def test__erasure__with_all_that_follows__works_on_what_is_left(service: Service) -> None:
    train_before = service.http.get("/v1/tables/people/targets/likes").json()["num_labels"]
    _, receipt = erase(service, KEY, "p1", "p3")
    assert {head["target"] for head in receipt["trained_with"]["heads"]} <= {"churn", "likes"}
    assert receipt["trained_with"]["encoders"] == [1]
    assert service.http.get("/v1/tables/people/targets/likes").json()["num_labels"] < train_before
    body = {"targets": ["churn", "likes"], "max_seconds": 10}
    answer = service.http.post("/v1/tables/people/fine-tunes", json=body)
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    back = f"id,age,city,income,churned,note\n{KEY},50,Lima,30000,No,note 2\n".encode()
    answer = service.http.post(
        "/v1/tables/people/snapshots", data={"mode": "append"}, files={"file": ("b.csv", back, "text/csv")}
    )
    service.work()
    assert service.job(answer)["result"]["changes"]["added"] == 1  # a key that comes back is a new row
    assert is_clean(service)


def queued(service: Service, *keys: str) -> str:
    answer = service.http.post("/v1/tables/people/erasures", json={"keys": list(keys)})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["erasure"])


def claimed(service: Service, scratch: Path, *, num_checks: int = 1_000) -> tuple[Job, Task]:
    """The queued erasure as a worker would run it; it is asked to stop at its check `num_checks`."""
    container = service.container
    with container.database.writing() as uow:
        job = uow.jobs.claim("by-hand", ["erase"], 60.0)
    assert job is not None
    left = iter(range(num_checks))
    scratch.mkdir(parents=True, exist_ok=True)
    task = Task(
        job_id=job.id,
        workspace_id=job.workspace_id,
        payload=job.payload,
        attempt=job.attempt,
        fence=job.fence,
        database=container.database,
        store=container.store,
        scratch=scratch,
        num_threads=1,
        progress=no_progress,
        should_stop=lambda: next(left, None) is None,
    )
    return job, task


def seen(service: Service) -> JsonObject:
    """What users see of the table."""
    paths = ("snapshots", "targets", "encoders", "profile", "targets/likes/label-sets", "targets/churn/heads")
    found = {path: service.http.get(f"/v1/tables/people/{path}").json() for path in paths}
    return found | {"predictions": predictions(service, [KEY, *OTHERS])}


def test__erasure__stopped_at_every_step_or_killed_after_its_commit__is_nothing_or_all(
    service: Service, tmp_path: Path
) -> None:
    before = seen(service)
    queued(service, KEY)
    kind = JOB_KINDS["erase"]
    for num_checks in range(100):
        job, task = claimed(service, tmp_path / "scratch", num_checks=num_checks)
        try:
            result = kind.run(task)
        except Interrupted:
            with service.container.database.writing() as uow:
                uow.jobs.requeue(job.id, job.fence)
        else:
            break
    assert num_checks > 5  # it was stopped at several places
    assert seen(service) == before
    url = "/v1/tables/people/targets/likes/labels"
    service.http.post(url, json={"labels": [{"key": KEY, "value": "b"}]}).raise_for_status()
    with pytest.raises(ResultOutdated), service.container.database.writing() as uow:
        kind.publish(uow, job, result)
    result = kind.run(replace(task, should_stop=never_stop))
    # As the worker ends a job; but it is killed before it clears away.
    with service.container.database.writing() as uow:
        published = kind.publish(uow, uow.jobs.lock_fenced(job.id, job.fence), result)
        uow.jobs.succeed(job.id, job.fence, published)
        uow.artifacts.remove_owner(job.id)
    assert places_of(service, SECRET)
    assert not is_clean(service)
    settle_receipts(service.container.database, service.container.store)  # the next worker, as it starts
    receipt = service.http.get(f"/v1/tables/people/erasures/{job.id}").json()
    assert receipt["status"] == "completed"
    assert [one["labels"] for one in receipt["places"]["label_sets"]] == [1, 1, 1]
    sweep(
        service.container.database, service.container.store, older_than_s=0
    )  # of the attempts that were stopped
    assert is_clean(service)
    for path in (tmp_path / "scratch").rglob("*.parquet"):
        assert KEY not in str(pl.read_parquet(path).to_dict(as_series=False))
    service.container.database.dispose()
    assert places_of(service, KEY) == places_of(service, SECRET) == []


def test__erasure__and_other_jobs_of_the_table__exclude_each_other(shared: Service) -> None:
    service, http = shared, shared.http
    job = http.post("/v1/tables/people/encoders", json={"max_seconds": 1}).json()["job"]["id"]
    busy = http.post("/v1/tables/people/erasures", json={"keys": [KEY]})
    assert (busy.status_code, code_of(busy)) == (409, "table_busy")
    assert busy.json()["details"]["jobs"] == [job]
    http.post(f"/v1/jobs/{job}/cancel").raise_for_status()
    erasure = queued(service, KEY)
    assert code_of(http.post("/v1/tables/people/encoders", json={})) == "erasure_in_progress"
    assert code_of(http.post("/v1/tables/people/erasures", json={"keys": [KEY]})) == "erasure_in_progress"
    assert code_of(http.get(f"/v1/tables/people/erasures/{erasure}")) == "erasure_not_finished"
    assert [one["id"] for one in http.get("/v1/tables/people/erasures").json()["unfinished"]] == [erasure]
    http.post(f"/v1/jobs/{erasure}/cancel").raise_for_status()
    unknown = queued(service, "nobody-knows")
    service.work()
    assert http.get(f"/v1/jobs/{unknown}").json()["error"]["code"] == "unknown_keys"
    with service.container.database.reading() as uow:
        payloads = [uow.jobs.find(one).payload for one in (erasure, unknown)]  # type: ignore[union-attr]
    assert all("until_end" not in payload for payload in payloads)
    assert is_clean(service)


def test__erasure__that_cannot_be__is_refused_with_a_code_and_changes_nothing(shared: Service) -> None:
    service, http = shared, shared.http
    before = service.footprint()
    for keys in ([], [1.5], [True], [""], None, ["x" * 3_000], ["k"] * 10_001):
        answer = http.post("/v1/tables/people/erasures", json={"keys": keys})
        assert answer.status_code == 422, (keys, answer.text)
    assert http.post("/v1/tables/nothing/erasures", json={"keys": ["a"]}).status_code == 404
    assert http.get("/v1/tables/people/erasures/job_00000000000000000000000000").status_code == 404
    assert service.footprint() == before
    everything = queued(service, KEY, "new1", *(f"p{row}" for row in range(240)))
    service.work()
    assert http.get(f"/v1/jobs/{everything}").json()["error"]["code"] == "no_rows_left"
    assert service.register("plain", b"a,b\n1,2\n3,4\n").status_code == 202
    service.work()
    refused = http.post("/v1/tables/plain/erasures", json={"keys": [0]})
    assert (refused.status_code, code_of(refused)) == (422, "erasure_needs_key")
    assert is_clean(service)
