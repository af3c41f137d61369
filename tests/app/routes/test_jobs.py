"""Jobs: listed in pages, cancelled with what they were making, followed to their end."""

from __future__ import annotations

import json
import threading
import time

from tests.app.routes.service import Service, code_of, people_csv

STREAM = {"Accept": "text/event-stream"}


def test__jobs__listed__in_pages_newest_first(service: Service) -> None:
    made = [service.register(f"t{number}", people_csv(5)).json()["job"]["id"] for number in range(5)]
    first = service.http.get("/v1/jobs", params={"limit": 2}).json()
    second = service.http.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    third = service.http.get("/v1/jobs", params={"limit": 2, "cursor": second["next_cursor"]}).json()
    found = [job["id"] for page in (first, second, third) for job in page["jobs"]]
    assert found == made[::-1]
    assert third["next_cursor"] is None
    only = service.http.get("/v1/jobs", params={"table": "t3", "status": "queued"}).json()["jobs"]
    assert [job["id"] for job in only] == [made[3]]
    foreign = service.http.get("/v1/tables", params={"cursor": first["next_cursor"]})
    assert (foreign.status_code, code_of(foreign)) == (422, "invalid_cursor")


def test__job__queued__cancelled_at_once_and_its_table_is_gone(service: Service) -> None:
    before = service.footprint()
    answer = service.register("people", people_csv(20))
    job_id = answer.json()["job"]["id"]
    cancelled = service.http.post(f"/v1/jobs/{job_id}/cancel").json()
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", None)
    assert service.http.get("/v1/tables/people").status_code == 404
    after = service.footprint()
    for kept in ("table", "artifact", "objects", "uploads"):
        assert after[kept] == before[kept]
    again = service.http.post(f"/v1/jobs/{job_id}/cancel").json()
    assert again["status"] == "cancelled"


def test__table__deleted__cancels_its_jobs_and_says_what_went(service: Service) -> None:
    service.ready_table("people")
    encoder = service.http.post("/v1/tables/people/encoders", json={}).json()
    service.http.post(
        "/v1/tables/people/targets", json={"name": "churn", "column": "churned"}
    ).raise_for_status()
    gone = service.http.delete("/v1/tables/people").json()
    assert (gone["table"], gone["snapshots"], gone["encoders"], gone["targets"]) == ("people", 1, 1, 1)
    assert gone["cancelled_jobs"] == [encoder["job"]["id"]]
    assert gone["artifacts"] >= 1
    assert service.http.get(f"/v1/jobs/{encoder['job']['id']}").json()["status"] == "cancelled"
    found = service.footprint()
    assert [found[name] for name in ("table", "snapshot", "encoder", "target", "label_set", "artifact")] == [
        0
    ] * 6
    assert found["objects"] == []
    service.ready_table("people")


def test__table__deleted_while_registering__lets_go_of_its_upload(service: Service) -> None:
    service.register("people", people_csv(20))
    gone = service.http.delete("/v1/tables/people").json()
    assert (len(gone["cancelled_jobs"]), gone["artifacts"]) == (1, 1)
    assert service.footprint()["objects"] == []


def test__events__pages__go_on_from_the_cursor(service: Service) -> None:
    service.ready_table("people")
    job_id = service.http.get("/v1/jobs").json()["jobs"][0]["id"]
    seen, after = [], 0
    while True:
        page = service.http.get(f"/v1/jobs/{job_id}/events", params={"after": after, "limit": 2}).json()
        seen += [event["sequence"] for event in page["events"]]
        after = page["next_cursor"]
        if page["finished"]:
            break
    assert seen == list(range(1, len(seen) + 1))
    assert page["events"][-1]["type"] == "succeeded"


def test__events__streamed__arrive_live_and_end_with_the_job(service: Service) -> None:
    job_id = service.register("people", people_csv(50)).json()["job"]["id"]
    is_open = threading.Event()

    def work_once_followed() -> None:
        is_open.wait(30)
        service.work()

    worker = threading.Thread(target=work_once_followed)
    worker.start()
    kinds, numbers = [], []
    with (
        service.client(service.key) as client,
        client.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
                is_open.set()
            elif line.startswith("id: "):
                numbers.append(int(line.removeprefix("id: ")))
            elif line.startswith("data: "):
                json.loads(line.removeprefix("data: "))
    worker.join(60)
    assert (kinds[0], kinds[-1]) == ("queued", "succeeded")
    assert numbers == list(range(1, len(numbers) + 1))
    rest = service.http.get(
        f"/v1/jobs/{job_id}/events", headers={**STREAM, "Last-Event-ID": str(numbers[-2])}
    ).text
    assert rest.count("event: ") == 1
    assert "event: succeeded" in rest
    wait_for_no_followers(service)


def test__events__key_revoked_meanwhile__ends_the_stream(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    made = service.http.post("/v1/keys", json={"name": "short", "scopes": ["tables:read"]}).json()
    started_at = time.monotonic()
    with (
        service.client(made["key"]) as client,
        client.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        service.http.delete(f"/v1/keys/{made['id']}").raise_for_status()
        list(lines)
    assert time.monotonic() - started_at < 10
    wait_for_no_followers(service)


def test__events__client_leaves__is_followed_no_more(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    with (
        service.client(service.key) as client,
        client.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as stream,
    ):
        next(stream.iter_lines())
        assert service.container.events.num_followers == 1
    wait_for_no_followers(service)


def test__events__unknown_job_or_bad_cursor__is_a_problem(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    missing = service.http.get("/v1/jobs/job_01M7Y2S6VCQNRC9TJ1S1R2YGAY/events", headers=STREAM)
    assert (missing.status_code, code_of(missing)) == (404, "job_not_found")
    bad = service.http.get(f"/v1/jobs/{job_id}/events", headers={**STREAM, "Last-Event-ID": "x"})
    assert (bad.status_code, code_of(bad)) == (400, "invalid_event_id")


def wait_for_no_followers(service: Service) -> None:
    until = time.monotonic() + 10
    while service.container.events.num_followers:
        assert time.monotonic() < until
