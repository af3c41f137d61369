"""Retries, idempotency, errors and secrets of the client's transport."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rootstock_client
from rootstock_client import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    Client,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    RetryPolicy,
    ServiceFailedError,
    ServiceUnavailableError,
    ServiceUnreachableError,
    StaleRevisionError,
    TooManyRequestsError,
    UnexpectedResponseError,
)
from rootstock_client.transport import path_of, retry_after_s
from tests.client.service import KEY, URL, PreparedService, job, ok, problem

DROPPED = httpx.RemoteProtocolError("Server disconnected")
REFUSED = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (403, AccessDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (412, StaleRevisionError),
        (413, InvalidRequestError),
        (415, InvalidRequestError),
        (422, InvalidRequestError),
        (429, TooManyRequestsError),
        (500, ServiceFailedError),
        (503, ServiceUnavailableError),
        (507, ServiceFailedError),
    ],
)
def test__problem__every_status__becomes_its_error(status: int, kind: type[ApiError]) -> None:
    service = PreparedService(problem(status, "some_code", "what to do next"))
    with pytest.raises(kind) as caught:
        service.client(retries=RetryPolicy(max_attempts=1)).table("customers")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.message) == (
        status,
        "some_code",
        "what to do next",
    )


def test__answer__not_from_a_service__says_so() -> None:
    page = httpx.Response(200, html="<html>login</html>")
    with pytest.raises(UnexpectedResponseError, match="text/html"):
        PreparedService(page).client().table("customers")
    with pytest.raises(UnexpectedResponseError, match="302"):
        PreparedService(httpx.Response(302, headers={"Location": "http://elsewhere"})).client().table(
            "customers"
        )
    with pytest.raises(ApiError, match="502"):
        PreparedService(httpx.Response(502, html="<html>bad gateway</html>")).client(
            retries=RetryPolicy(max_attempts=1)
        ).table("customers")


def test__redirect__is_never_followed() -> None:
    service = PreparedService(httpx.Response(307, headers={"Location": "http://elsewhere/"}))
    with pytest.raises(UnexpectedResponseError):
        service.client().tables()
    assert len(service.requests) == 1


def test__get__dropped_connection__is_sent_again() -> None:
    service = PreparedService(DROPPED, REFUSED, ok({"name": "customers"}))
    assert service.client().table("customers") == {"name": "customers"}
    assert service.slept_s == sorted(service.slept_s, key=lambda _: 0)
    assert len(service.slept_s) == 2


def test__making_post__dropped_connection__is_sent_again_under_one_idempotency_key() -> None:
    service = PreparedService(
        DROPPED, problem(503, "busy"), ok({"encoder": {"version": 1}, "job": job()}, 202)
    )
    started = service.client().pretrain("customers")
    assert started.created == {"encoder": {"version": 1}}
    keys = {request.headers["idempotency-key"] for request in service.requests}
    assert len(service.requests) == 3
    assert len(keys) == 1


def test__making_posts__each__have_keys_of_their_own() -> None:
    service = PreparedService(*(ok({"job": job()}, 202) for _ in range(2)))
    client = service.client()
    client.pretrain("customers")
    client.pretrain("customers")
    assert len({request.headers["idempotency-key"] for request in service.requests}) == 2


def test__post_without_key__dropped_connection__is_not_sent_again() -> None:
    service = PreparedService(DROPPED)
    with pytest.raises(ServiceUnreachableError, match="may have happened"):
        service.client().create_key("ci", ["predict"])
    assert len(service.requests) == 1


def test__post_without_key__connection_refused__is_sent_again() -> None:
    service = PreparedService(REFUSED, ok({"id": "1", "key": "rs_1_x"}, 201))
    assert service.client().create_key("ci", ["predict"])["id"] == "1"


def test__conditional_put__dropped_connection__is_not_sent_again() -> None:
    service = PreparedService(DROPPED)
    with pytest.raises(ServiceUnreachableError):
        service.client().set_alias("customers", "churn", "champion", 2, if_revision=4)
    assert service.requests[0].headers["if-match"] == '"4"'


def test__alias__that_must_not_exist__is_asked_for_as_such() -> None:
    service = PreparedService(ok({"version": 2, "revision": 1}))
    service.client().set_alias("customers", "churn", "challenger", 2, if_revision=0)
    assert service.requests[0].headers["if-none-match"] == "*"


def test__rollback__dropped_connection__is_not_sent_again() -> None:
    service = PreparedService(DROPPED)
    with pytest.raises(ServiceUnreachableError):
        service.client().rollback("customers", "churn")
    assert len(service.requests) == 1


def test__delete__repeated_and_gone__counts_as_deleted() -> None:
    service = PreparedService(DROPPED, problem(404, "table_not_found"))
    service.client().delete_table("customers")
    with pytest.raises(NotFoundError):
        PreparedService(problem(404, "table_not_found")).client().delete_table("customers")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test__get__refused__is_not_sent_again(status: int) -> None:
    service = PreparedService(problem(status, "no"))
    with pytest.raises(ApiError):
        service.client().table("customers")
    assert len(service.requests) == 1


def test__retry_after__within_bounds__is_waited_for_exactly() -> None:
    service = PreparedService(problem(429, "slow_down", **{"Retry-After": "7"}), ok({"tables": []}))
    assert service.client().tables() == []
    assert service.slept_s == [7.0]


def test__retry_after__too_long__is_an_error_that_says_when() -> None:
    service = PreparedService(problem(503, "stale", **{"Retry-After": "3600"}))
    with pytest.raises(ServiceUnavailableError) as caught:
        service.client().tables()
    assert caught.value.retry_after_s == 3600
    assert service.slept_s == []


def test__retries__exhausted__raise_the_last_error() -> None:
    service = PreparedService(*[REFUSED] * 3)
    with pytest.raises(ServiceUnreachableError, match=URL):
        service.client(retries=RetryPolicy(max_attempts=3)).tables()
    assert len(service.requests) == 3


def test__upload__sent_again__carries_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n" * 5_000)
    service = PreparedService(DROPPED, ok({"table": {"name": "t"}, "job": job()}, 202))
    service.client().register("t", path)
    assert all(path.read_bytes() in request.content for request in service.requests)
    assert len(service.requests) == 2


@given(st.floats(min_value=0, max_value=1e6))
def test__retry_after_header__number__is_seconds(seconds: float) -> None:
    assert retry_after_s(str(seconds)) == seconds


def test__retry_after_header__date__is_seconds_from_now() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 <= (retry_after_s(later) or 0) <= 90
    assert retry_after_s("soon") is None
    assert retry_after_s("-5") == 0


@given(st.text(min_size=1))
def test__path__any_segment__stays_one_segment(segment: str) -> None:
    try:
        path = path_of("tables", segment)
    except (InvalidArgumentError, UnicodeEncodeError):
        return
    assert path.startswith("/v1/tables/")
    assert path.count("/") == 3
    assert not set(path[11:]) & set("?#\\ \n")


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test__path__dots_or_nothing__is_refused_before_sending(segment: str) -> None:
    service = PreparedService()
    with pytest.raises(InvalidArgumentError):
        service.client().table(segment)


def test__key__nowhere__in_reprs_and_errors() -> None:
    service = PreparedService(REFUSED, problem(401, "unauthenticated"))
    client = service.client(retries=RetryPolicy(max_attempts=1))
    shown = [repr(client), repr(client._transport.connection)]
    for _ in range(2):
        with pytest.raises(rootstock_client.RootstockError) as caught:
            client.tables()
        shown += [repr(caught.value), str(caught.value)]
    assert not [text for text in shown if "very-secret" in text]
    assert "rs_4f2a_…" in shown[0]


def test__nan__in_a_body__is_refused_before_sending() -> None:
    service = PreparedService()
    with pytest.raises(InvalidArgumentError, match="JSON"):
        service.client().predict("customers", "churn", rows=[{"age": float("nan")}])


class TestConnection:
    def test__client__nothing_given__needs_a_key(self) -> None:
        with pytest.raises(ConfigurationError, match="no API key"):
            Client()

    def test__client__nothing_given__reads_environment_then_admin_key(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
        (tmp_path / "admin-key").write_text("rs_aaaa_from-file\n")
        assert repr(Client()) == "Client('http://127.0.0.1:8321', key='rs_aaaa_…')"
        monkeypatch.setenv("ROOTSTOCK_KEY", "rs_bbbb_from-environment")
        monkeypatch.setenv("ROOTSTOCK_URL", "http://localhost:9/")
        assert repr(Client()) == "Client('http://localhost:9', key='rs_bbbb_…')"
        assert repr(Client(URL, KEY)) == "Client('http://rootstock.test', key='rs_4f2a_…')"

    def test__local_admin_key__other_machine__is_never_sent(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
        (tmp_path / "admin-key").write_text("rs_aaaa_from-file\n")
        with pytest.raises(ConfigurationError, match="no API key"):
            Client("https://rootstock.example.com")

    @pytest.mark.parametrize(
        "url", ["rootstock", "ftp://host", "http://", "http://u:p@host", "http://host?x=1", "http://[::1"]
    )
    def test__url__not_a_plain_address__is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Client(url, KEY)
        assert caught.value.code == "invalid_url"

    @pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ"])
    def test__key__not_a_header_value__is_refused_without_showing_it(self, key: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Client(URL, key)
        assert key not in str(caught.value)


def test__version__of_the_package__is_that_of_the_project_file() -> None:
    text = (Path(__file__).parents[2] / "client" / "pyproject.toml").read_text()
    assert f'version = "{rootstock_client.__version__}"' in text
