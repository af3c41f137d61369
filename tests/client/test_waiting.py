"""Following jobs: event streams, polling, outcomes."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootstock_client import (
    Job,
    JobCancelled,
    JobFailed,
    JobTimeout,
    NotFoundError,
    ServiceUnreachableError,
    UnexpectedResponseError,
)
from rootstock_client.event_stream import read_events
from tests.client.service import PreparedService, event_stream, job, ok, problem

RUNNING = job("running")
DONE = job("succeeded", result={"encoder": 1})


def test__wait__finished_job__returns_at_once() -> None:
    service = PreparedService(ok(DONE))
    assert service.client().wait("job_1").result == {"encoder": 1}
    assert service.calls == [("GET", "/v1/jobs/job_1")]


def test__wait__stream_of_events__reports_progress() -> None:
    stream = event_stream(
        [
            (1, "queued", {}),
            (2, "progress", {"step": 3, "total": 10, "message": "training"}),
            (3, "succeeded", {}),
        ]
    )
    service = PreparedService(ok(job()), stream, ok(RUNNING), ok(DONE))
    seen: list[Job] = []
    assert service.client().wait("job_1", on_progress=seen.append).status == "succeeded"
    assert [(s.status, s.progress.fraction) for s in seen] == [
        ("queued", None),
        ("running", None),
        ("running", 0.3),
        ("succeeded", None),
    ]


@pytest.mark.parametrize(
    "stream",
    [
        problem(429, "too_many_streams"),
        problem(404, "route_not_found"),
        httpx.ReadTimeout("quiet"),
        ok({"not": "a stream"}),
    ],
)
def test__wait__no_stream__asks_instead(stream: httpx.Response | Exception) -> None:
    service = PreparedService(ok(RUNNING), stream, ok(RUNNING), stream, ok(DONE))
    assert service.client().wait("job_1").status == "succeeded"


def test__wait__stream_breaks__continues_after_the_last_event() -> None:
    first = event_stream([(7, "progress", {"step": 1, "total": 2, "message": ""})])
    second = event_stream([(8, "succeeded", {})])
    service = PreparedService(ok(RUNNING), first, ok(RUNNING), second, ok(DONE))
    service.client().wait("job_1")
    streams = [request for request in service.requests if request.url.path.endswith("/events")]
    assert [request.headers.get("last-event-id") for request in streams] == [None, "7"]


def test__wait__failed_job__raises_its_code_and_message() -> None:
    error = {"code": "ragged_row", "message": "line 8000 has 3 cells instead of 4"}
    with pytest.raises(JobFailed, match="line 8000") as caught:
        PreparedService(ok(job("failed", error=error))).client().wait("job_1")
    assert caught.value.code == "ragged_row"
    assert caught.value.job.id == "job_1"


def test__wait__cancelled_unknown_or_too_long__raises() -> None:
    with pytest.raises(JobCancelled):
        PreparedService(ok(job("cancelled"))).client().wait("job_1")
    with pytest.raises(NotFoundError):
        PreparedService(problem(404, "job_not_found")).client().wait("job_1")
    with pytest.raises(JobTimeout, match="running"):
        PreparedService(ok(RUNNING), event_stream([]), ok(RUNNING)).client().wait("job_1", timeout_s=0)


def test__events__stream_drops__raises_after_what_arrived() -> None:
    service = PreparedService(httpx.ConnectError("refused"))
    with pytest.raises(ServiceUnreachableError):
        list(service.client().events("job_1"))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**9),
            st.sampled_from(["progress", "queued", "checkpoint"]),
            st.dictionaries(st.text(max_size=5), st.text(max_size=10), max_size=3),
        )
    )
)
def test__read_events__any_events__come_back_as_sent(
    events: list[tuple[int, str, dict[str, object]]],
) -> None:
    lines = event_stream(events).iter_lines()
    assert [(int(event.id), event.type, event.data) for event in read_events(lines)] == events


def test__read_events__cut_off_event__is_left_out() -> None:
    assert list(read_events(["id: 1", "event: progress", "data: {}"])) == []
    (event,) = read_events(["data: {", 'data: "a": 1}', ""])
    assert (event.type, event.data) == ("message", {"a": 1})


@pytest.mark.parametrize(
    "body", [{}, {"id": "job_1"}, {"id": "j", "kind": "k", "status": "queued", "progress": 3}]
)
def test__job__that_is_none__is_an_unexpected_response(body: dict[str, object]) -> None:
    with pytest.raises(UnexpectedResponseError, match="job"):
        PreparedService(ok(body)).client().job("job_1")


def test__wait__paused_job__is_told_and_waited_for_or_returned() -> None:
    paused = job("paused")
    told = event_stream([(1, "queued", {}), (2, "paused", {}), (3, "resumed", {}), (4, "succeeded", {})])
    service = PreparedService(ok(RUNNING), told, ok(RUNNING), ok(paused), ok(RUNNING), ok(DONE))
    seen: list[Job] = []
    assert service.client().wait("job_1", on_progress=seen.append).status == "succeeded"
    assert [state.is_paused for state in seen].count(True) == 1
    assert PreparedService(ok(paused)).client().wait("job_1", until_paused=True).is_paused
    halfway = event_stream([(1, "queued", {}), (2, "paused", {})])
    service = PreparedService(ok(RUNNING), halfway, ok(RUNNING), ok(paused), ok(paused))
    assert service.client().wait("job_1", until_paused=True).is_paused


def test__pause_and_resume__ask_for_it() -> None:
    service = PreparedService(ok(job("paused")), ok({**job("queued"), "waiting_for": "no worker"}))
    client = service.client()
    assert client.pause("job_1").is_paused
    assert client.resume("job_1").waiting_for == "no worker"
    assert service.calls == [("POST", "/v1/jobs/job_1/pause"), ("POST", "/v1/jobs/job_1/resume")]
