"""What every request passes and every answer carries."""

from __future__ import annotations

import logging
import socket

import httpx
import polars as pl
import pytest

from app.routes.edge.gate import SECURITY_HEADERS
from tests.app.routes.service import Service, code_of

SECRET = "Okonkwo-4711"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example:8321",
    ],
)
def test__host__not_allowed__is_refused(people: Service, host: str) -> None:
    answer = people.http.get("/v1/tables", headers={"Host": host})
    assert (answer.status_code, code_of(answer)) == (421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8321", "[::1]"])
def test__host__loopback__is_answered(people: Service, host: str) -> None:
    assert people.http.get("/livez", headers={"Host": host}).status_code == 200


def test__host__missing_or_twice__is_refused(people: Service) -> None:
    for hosts in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
        with socket.create_connection(("127.0.0.1", people.port), timeout=10) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        assert answer.split(b" ", 2)[1] in (b"421", b"400")  # the HTTP parser may refuse first


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://", ""])
def test__origin__another_page__is_refused(people: Service, origin: str) -> None:
    answer = people.http.post(
        "/v1/keys", headers={"Origin": origin}, json={"name": "x", "scopes": ["predict"]}
    )
    assert (answer.status_code, code_of(answer)) == (403, "origin_refused")


def test__origin__own_page__is_answered(people: Service) -> None:
    answer = people.http.get("/v1/tables", headers={"Origin": f"http://127.0.0.1:{people.port}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/v1/tables", "/nowhere", "/docs"])
def test__answer__any__carries_security_headers(people: Service, path: str) -> None:
    answer = people.http.get(path)
    for name in SECURITY_HEADERS:
        assert name in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1", "/v1/tables/", "/v1/tables/people/nothing", "/v1/../etc/passwd"]
)
def test__path__unknown__is_a_problem(people: Service, path: str) -> None:
    answer = people.http.get(path)
    assert (answer.status_code, code_of(answer)) == (404, "route_not_found")


def test__method__wrong__is_a_problem_with_allow(people: Service) -> None:
    answer = people.http.put("/v1/tables")
    assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")


@pytest.mark.parametrize("name", ["..%2Fx", "%2e%2e%2fx", "%00", "a%2Fb", "A", "_x", "x" * 64, "é", "-a"])
def test__name__not_of_the_form__finds_nothing(people: Service, name: str) -> None:
    before = people.footprint()
    for path in (f"/v1/tables/{name}/profile", f"/v1/tables/people/targets/{name}"):
        answer = people.http.get(path)
        assert answer.status_code in (404, 422)
        code_of(answer)
    assert people.http.delete(f"/v1/tables/{name}").status_code in (404, 405, 422)
    assert people.footprint() == before


def test__body__too_large__is_refused_by_its_declared_length_and_while_it_arrives(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    service = Service(tmp_path_factory.mktemp("small") / "home", max_body_bytes=2048)
    try:
        declared = service.http.post(
            "/v1/keys", content=b" " * 5000, headers={"Content-Type": "application/json"}
        )
        assert (declared.status_code, code_of(declared)) == (413, "body_too_large")
        pieces = (b" " * 1000 for _ in range(5))
        chunked = service.http.post("/v1/keys", content=pieces, headers={"Content-Type": "application/json"})
        assert (chunked.status_code, code_of(chunked)) == (413, "body_too_large")
    finally:
        service.close()


def test__body__refused_while_it_is_sent__the_client_still_reads_why(people: Service) -> None:
    pieces = (b"x" * 65_536 for _ in range(200))
    answer = people.http.post("/v1/keys", content=pieces, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, code_of(answer)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("fault", [RuntimeError, pl.exceptions.PanicException])
def test__fault__unexpected__leaks_nothing_and_is_logged_by_id(
    service: Service,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[BaseException],
) -> None:
    def fail(*_: object) -> None:
        raise fault(f"row with {SECRET}")

    monkeypatch.setattr(service.container.tables, "list", fail)
    with caplog.at_level(logging.DEBUG):
        answer = service.http.get("/v1/tables")
    assert (answer.status_code, code_of(answer)) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert answer.json()["details"]["error_id"] in caplog.text


def test__metrics__after_requests__name_routes_but_no_paths(people: Service) -> None:
    people.http.get("/v1/tables/people")
    people.http.get(f"/v1/{SECRET}")
    text = people.http.get("/metrics").text
    assert 'route="/v1/tables/{table}"' in text
    assert SECRET not in text
    assert 'people"' not in text


def test__docs__page__fetches_nothing_from_elsewhere(people: Service) -> None:
    answer = people.http.get("/docs")
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "<script" not in answer.text
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]


def test__many_bad_requests__never_a_500(people: Service) -> None:
    paths = [
        "/v1/tables?limit=x",
        "/v1/tables?limit=0",
        "/v1/tables?cursor=%00",
        "/v1/jobs?status=x",
        "/v1/jobs/x/events",
    ]
    paths += [
        "/v1/tables/people/encoders/99999999999999999999",
        "/v1/tables/people/encoders/0",
        "/v1/jobs?cursor=abc",
    ]
    paths += ["/v1/tables/people/encoders/-1", "/v1/tables?limit=" + "9" * 400]
    for path in paths:
        answer = people.http.get(path)
        assert 400 <= answer.status_code < 500, path
        code_of(answer)


@pytest.mark.parametrize("version", ["+1", "1_0", "01", "%201", "1.0", "1e0", "%D9%A1"])
def test__version__not_in_plain_digits__is_refused(people: Service, version: str) -> None:
    answer = people.http.get(f"/v1/tables/people/encoders/{version}")
    assert (answer.status_code, code_of(answer)) == (422, "invalid_request")


def test__host__of_the_operator__is_answered(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("named") / "home"
    service = Service(home, allowed_hosts=("rootstock.example", "*.internal.example"))
    try:
        for host, status in (
            ("rootstock.example", 200),
            ("a.b.internal.example:443", 200),
            ("internal.example", 421),
            ("xrootstock.example", 421),
        ):
            assert service.http.get("/livez", headers={"Host": host}).status_code == status
    finally:
        service.close()


def test__connection__client_leaves_during_an_upload__leaves_nothing(service: Service) -> None:
    before = service.footprint()
    head = (
        "POST /v1/tables HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {service.key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="name"\r\n\r\ncut\r\n'
        '--b\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\na,b\n1,2\n'
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode())
    for _ in range(100):
        if service.footprint() == before and not list(service.settings.uploads_dir.iterdir()):
            break
        httpx.get(f"http://127.0.0.1:{service.port}/livez")
    assert service.footprint() == before
