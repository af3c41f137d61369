"""Pause, resume, estimates, workers and refusals for lack of room, over HTTP."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.app.routes.service import Service, code_of, people_csv

STREAM = {"Accept": "text/event-stream"}
LARGER_THAN_ANY_DISK = 1 << 55


def announce(service: Service, *kinds: str, memory_bytes: int = 1 << 40) -> None:
    with service.container.database.writing() as uow:
        uow.workers.announce("w", kinds, device="cpu", num_slots=1, memory_bytes=memory_bytes)


def leave(service: Service) -> None:
    with service.container.database.writing() as uow:
        uow.workers.leave("w")


def test__job__paused_and_resumed__runs_to_its_end(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    paused = service.http.post(f"/v1/jobs/{job_id}/pause").json()
    assert (paused["status"], paused["progress"]["message"]) == ("paused", "paused before it was started")
    with service.container.database.writing() as uow:
        assert uow.jobs.claim("by-hand", ["ingest"], 30.0) is None
    listed = service.http.get("/v1/jobs", params={"status": "paused", "kind": "ingest"}).json()["jobs"]
    assert [job["id"] for job in listed] == [job_id]
    assert service.http.get("/v1/jobs", params={"kind": "pretrain"}).json()["jobs"] == []
    assert service.http.post(f"/v1/jobs/{job_id}/resume").json()["status"] == "queued"
    service.work()
    done = service.http.post(f"/v1/jobs/{job_id}/pause").json()
    assert (done["status"], done["pause_requested"]) == ("succeeded", False)
    assert done["result"]["peak_memory_bytes"] > 0


def test__job__paused__cancelled_takes_its_table_along(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    service.http.post(f"/v1/jobs/{job_id}/pause").raise_for_status()
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert service.http.get("/v1/tables/people").status_code == 404
    assert service.footprint()["objects"] == []


def test__pause__of_a_running_job__says_what_resuming_means(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    with service.container.database.writing() as uow:
        assert uow.jobs.claim("by-hand", ["ingest"], 30.0) is not None
    answer = service.http.post(f"/v1/jobs/{job_id}/pause").json()
    assert (answer["status"], answer["pause_requested"]) == ("running", True)
    assert "from the beginning" in answer["progress"]["message"]


def test__pause__of_no_job_or_a_foreign_one__is_not_found(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    with service.client(service.key_of("another")) as stranger:
        for action in ("pause", "resume"):
            answer = stranger.post(f"/v1/jobs/{job_id}/{action}")
            assert (answer.status_code, code_of(answer)) == (404, "job_not_found")
    assert service.http.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"


def test__job__of_a_kind_that_no_worker_takes__says_so(service: Service) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    leave(service)
    alone = service.http.get(f"/v1/jobs/{job_id}").json()
    assert "rootstock worker --kinds ingest" in alone["waiting_for"]
    announce(service, "ingest")
    assert service.http.get(f"/v1/jobs/{job_id}").json()["waiting_for"] is None
    found = service.http.get("/v1/workers").json()
    assert [worker["kinds"] for worker in found["workers"]] == [["ingest"]]
    assert "pretrain" in found["kinds_without_worker"]
    assert "ingest" not in found["kinds_without_worker"]
    leave(service)


def test__estimate__of_every_accepted_job__is_in_its_body(service: Service) -> None:
    service.ready_table("people")
    registered = service.http.get("/v1/jobs").json()["jobs"][-1]
    pretrain = service.http.post("/v1/tables/people/encoders", json={"max_seconds": 5}).json()["job"]
    for job in (registered, pretrain):
        assert job["estimate"]["seconds"] > 0
        assert job["estimate"]["memory_bytes"] > 100_000_000
        assert job["estimate"]["disk_bytes"] > 0
        assert "within a factor of 3" in job["estimate"]["basis"]
    assert pretrain["estimate"]["seconds"] < 60
    assert service.http.get(f"/v1/jobs/{pretrain['id']}").json()["estimate"] == pretrain["estimate"]


def test__job__too_large_for_every_worker__is_refused_and_nothing_is_made(service: Service) -> None:
    service.ready_table("people")
    before = service.footprint()
    announce(service, "pretrain", memory_bytes=1 << 20)
    refused = service.http.post("/v1/tables/people/encoders", json={})
    assert (refused.status_code, code_of(refused)) == (422, "would_not_fit")
    assert "ROOTSTOCK_JOB_MEMORY_BYTES" in refused.json()["detail"]
    leave(service)
    after = service.footprint()
    assert {name: after[name] for name in before if name != "worker"} == {
        name: before[name] for name in before if name != "worker"
    }


def test__upload__larger_than_what_is_free__is_refused_before_it_is_received(service: Service) -> None:
    before = service.footprint()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/tables HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n--b\r\n"
            % (service.key.encode(), LARGER_THAN_ANY_DISK)
        )
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 507 ")
    assert b'"disk_full"' in answer
    assert service.footprint() == before


def test__events__followed_by_many__all_hear_everything(service: Service) -> None:
    job_id = service.register("people", people_csv(50)).json()["job"]["id"]
    heard: list[list[str]] = []
    opened = threading.Barrier(9)

    def follow() -> None:
        with (
            service.client(service.key) as client,
            client.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as stream,
        ):
            lines = stream.iter_lines()
            next(lines)
            opened.wait(30)
            heard.append([line for line in lines if line.startswith("event: ")])

    followers = [threading.Thread(target=follow) for _ in range(8)]
    for follower in followers:
        follower.start()
    opened.wait(30)
    service.work()
    for follower in followers:
        follower.join(60)
    assert len(heard) == 8
    assert all(events == heard[0] for events in heard)
    assert heard[0][-1] == "event: succeeded"


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test__events__without_event_stream__are_json_pages(service: Service, accept: str) -> None:
    job_id = service.register("people", people_csv(20)).json()["job"]["id"]
    service.http.post(f"/v1/jobs/{job_id}/pause").raise_for_status()
    page = service.http.get(
        f"/v1/jobs/{job_id}/events", params={"after": 1}, headers={"Accept": accept}
    ).json()
    assert [event["type"] for event in page["events"]] == ["paused"]
    assert page["finished"] is False
