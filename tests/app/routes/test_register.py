"""Registration: what is taken, what is refused at once, and that nothing half-made is left of what is refused."""

from __future__ import annotations

import gzip
import io
import json
import stat
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import polars as pl
import pytest

from tests.app.routes.service import PEOPLE_ROLES, Service, code_of, people_csv

MIB = 1 << 20


def parquet(num_rows: int = 50) -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"a": range(num_rows), "b": [str(row % 3) for row in range(num_rows)]}).write_parquet(out)
    return out.getvalue()


REFUSED_AT_ONCE = {
    "empty file": (b"", "empty_file"),
    "header only": (b"a,b,c\n", "header_only"),
    "pdf named csv": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\n" * 20, "not_a_table"),
    "zip named csv": (b"PK\x03\x04" + b"\0" * 500, "damaged_compression"),
    "10,000 columns": (",".join(f"c{i}" for i in range(10_000)).encode() + b"\n" + b",".join([b"1"] * 10_000) + b"\n", "too_many_columns"),
    "duplicate header": (b"a,b,a\n1,2,3\n", "duplicate_column"),
    "reserved name": (b"a,_key\n1,2\n", "invalid_column_name"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_AT_ONCE)
def test__file__no_table__is_refused_at_once_and_leaves_nothing(people: Service, case: str) -> None:
    content, code = REFUSED_AT_ONCE[case]
    before = people.footprint()
    answer = people.register("fresh", content)
    assert (answer.status_code, code_of(answer)) == (422, code)
    assert people.footprint() == before
    assert people.http.get("/v1/tables/fresh").status_code == 404


@pytest.mark.parametrize(
    "name", ["../x", "..", "A", "", "-a", "a" * 64, "a b", "a/b", "a.b", "ä", "a\n", "\0"]
)
def test__name__not_of_the_form__is_refused_and_leaves_nothing(people: Service, name: str) -> None:
    before = people.footprint()
    answer = people.register(name, people_csv(5))
    assert answer.status_code in (400, 422)
    code_of(answer)
    assert people.footprint() == before


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"columns": {"nope": {"role": "drop"}}}, 422, "unknown_column"),
        ({"columns": {"age": {"role": "boss"}}}, 422, "invalid_request"),
        ({"columns": {"age": {"rank": 1}}}, 422, "invalid_request"),
        ({"columns": "{"}, 400, "invalid_json"),
        ({"columns": "[1e999]"}, 400, "invalid_json"),
        ({"columns": '["x"]'}, 422, "invalid_request"),
        ({"evaluation_fraction": "0.9"}, 422, "invalid_request"),
        ({"evaluation_fraction": "NaN"}, 400, "invalid_json"),
        ({"evaluation_fraction": '"0.1"'}, 422, "invalid_request"),
        ({"pretrain": '"yes"'}, 422, "invalid_request"),
        ({"split": {"by": "magic"}}, 422, "invalid_request"),
        ({"split": {"by": "time"}}, 422, "invalid_time_split"),
        ({"delimiter": "ab"}, 422, "invalid_request"),
        ({"encoding": "klingon"}, 422, "unsupported_encoding"),
        ({"encoding": "idna"}, 422, "unsupported_encoding"),
        ({"text_columns": ["nobody"]}, 422, "unknown_column"),
        ({"reading": {"delimiter": 7}}, 422, "invalid_request"),
        ({"reading": "[]"}, 422, "invalid_reading"),
        ({"path": "/etc/passwd"}, 422, "unknown_field"),
    ],
)
def test__field__wrong__is_refused_and_leaves_nothing(
    people: Service, fields: dict[str, Any], status: int, code: str
) -> None:
    before = people.footprint()
    answer = people.register("fresh", people_csv(5), **fields)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert people.footprint() == before


def test__form__without_a_file_or_name_or_of_another_type__is_refused(people: Service) -> None:
    before = people.footprint()
    file = {"file": ("t.csv", people_csv(5))}
    answers = {
        "name_missing": people.http.post("/v1/tables", files=file),
        "file_missing": people.http.post("/v1/tables", files={"name": (None, "fresh")}),
        "unknown_field": people.http.post("/v1/tables", data={"name": "fresh"}, files={"other": ("t.csv", b"a\n1\n")}),
        "unsupported_media_type": people.http.post("/v1/tables", content=b"name=fresh", headers={"Content-Type": "text/csv"}),
        "duplicate_field": people.http.post("/v1/tables", files=[("name", (None, "fresh")), ("name", (None, "other")), ("file", ("t.csv", b"a\n1\n"))]),
        "invalid_form": people.http.post(
            "/v1/tables", content=b"--b\r\ncut", headers={"Content-Type": "multipart/form-data; boundary=b"}
        ),
    }  # fmt: skip
    assert {code: code_of(answer) for code, answer in answers.items()} == {code: code for code in answers}
    no_boundary = people.http.post(
        "/v1/tables", content=b"x", headers={"Content-Type": "multipart/form-data"}
    )
    assert code_of(no_boundary) == "invalid_form"
    assert people.footprint() == before


def test__ragged_line_8000__fails_the_job_with_the_line_and_frees_the_name(service: Service) -> None:
    rows = people_csv(8_100).splitlines(keepends=True)
    rows[7_999] = b"p7998,30,Oslo,1000,No,one too many\n"
    answer = service.register("people", b"".join(rows), columns=PEOPLE_ROLES)
    assert answer.status_code == 202
    service.work()
    job = service.job(answer)
    assert (job["status"], job["error"]["code"]) == ("failed", "ragged_row")
    assert "8000" in job["error"]["message"]
    assert "one too many" not in json.dumps(job)
    assert service.http.get("/v1/tables/people").status_code == 404
    assert service.footprint()["artifact"] == 0
    service.ready_table("people")


@pytest.mark.parametrize(
    ("content", "filename", "fields"),
    [
        (people_csv(40), "people.csv", {}),
        (people_csv(40).replace(b",", b"\t"), "people.tsv", {}),
        (people_csv(40).replace(b",", b";"), r"C:\data\people.csv", {"delimiter": ";"}),
        (people_csv(40).decode().encode("utf-16"), "../../people.csv", {"reading": {"encoding": "utf-16"}}),
        (parquet(), "people.parquet", {}),
        (people_csv(40).split(b"\n", 1)[1], "people", {"has_header": False}),
    ],
    ids=["csv", "tsv", "semicolons", "utf-16", "parquet", "no header"],
)
def test__file__of_each_form__becomes_a_table(
    service: Service, content: bytes, filename: str, fields: dict[str, object]
) -> None:
    answer = service.register("people", content, filename=filename, **fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
    assert answer.json()["table"]["status"] == "registering"
    service.work()
    assert service.job(answer)["status"] == "succeeded", service.job(answer)
    table = service.http.get("/v1/tables/people").json()
    assert table["status"] == "ready"
    assert table["num_rows"] in (40, 50)


def test__name__taken__is_refused_before_the_file_is_sent(people: Service) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\npeople\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\na,b\n'
        for _ in range(64):
            sent += MIB
            yield b"1,2\n" * (MIB // 4)
        yield b"\r\n--b--\r\n"

    before = people.footprint()
    answer = people.http.post(
        "/v1/tables", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status_code, code_of(answer)) == (409, "name_taken")
    assert people.footprint() == before


def test__large_file__no_table_by_its_first_mib__is_refused_while_it_arrives(people: Service) -> None:
    content = b"a,b,a\n" + b"1,2,3\n" * (4 * MIB // 6)
    before = people.footprint()
    answer = people.register("fresh", content)
    assert (answer.status_code, code_of(answer)) == (422, "duplicate_column")
    assert people.footprint() == before


def test__large_file__reading_options_after_it__are_refused(people: Service) -> None:
    files: list[tuple[str, tuple[str | None, bytes | str]]] = [
        ("name", (None, "fresh")),
        ("file", ("t.csv", b"a,b\n" + b"1,2\n" * MIB)),
        ("delimiter", (None, ";")),
    ]
    before = people.footprint()
    answer = people.http.post("/v1/tables", files=files)
    assert (answer.status_code, code_of(answer)) == (422, "options_after_file")
    assert people.footprint() == before


def test__file__larger_than_allowed__is_refused_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    service = Service(tmp_path_factory.mktemp("small") / "home", max_upload_bytes=10_000)
    try:
        before = service.footprint()
        answer = service.register("people", people_csv(2_000))
        assert (answer.status_code, code_of(answer)) == (413, "file_too_large")
        assert service.footprint() == before
    finally:
        service.close()


def test__disk__nearly_full__is_refused_and_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    service = Service(tmp_path_factory.mktemp("full") / "home", min_free_disk_bytes=1 << 60)
    try:
        before = service.footprint()
        answer = service.register("people", people_csv(20))
        assert (answer.status_code, code_of(answer)) == (507, "disk_full")
        assert service.footprint() == before
    finally:
        service.close()


def test__temporary_file__while_it_is_received__is_private(service: Service) -> None:
    started, proceed = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\na,b\n'
        yield b"1,2\n" * (MIB // 2)
        started.set()
        proceed.wait(30)
        yield b'\r\n--b\r\nContent-Disposition: form-data; name="name"\r\n\r\npeople\r\n--b--\r\n'

    def send() -> None:
        with service.client(service.key) as client:
            client.post(
                "/v1/tables", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
            )

    sender = threading.Thread(target=send)
    sender.start()
    assert started.wait(30)
    until = time.monotonic() + 30
    while not (found := list(service.settings.uploads_dir.iterdir())):
        assert time.monotonic() < until
    assert stat.S_IMODE(found[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(service.settings.uploads_dir.stat().st_mode) == 0o700
    proceed.set()
    sender.join(30)
    assert not list(service.settings.uploads_dir.iterdir())


def test__registration__repeated_under_one_key__makes_one_table(service: Service) -> None:
    first = service.register("people", people_csv(20), idempotency_key="k1")
    again = service.register("people", people_csv(20), idempotency_key="k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = service.register("people", people_csv(21), idempotency_key="k1")
    assert (other.status_code, code_of(other)) == (422, "idempotency_mismatch")
    assert service.footprint()["table"] == 1


def test__registration__many_at_once_under_one_key__all_get_the_same_answer(service: Service) -> None:
    answers: list[httpx.Response] = []

    def send() -> None:
        answers.append(service.register("people", people_csv(20), idempotency_key="k1"))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [202] * 6
    assert len({answer.json()["job"]["id"] for answer in answers}) == 1
    found = service.footprint()
    assert (found["table"], found["job"], found["artifact"]) == (1, 1, 1)


def test__registration__many_at_once_under_one_name__one_wins(service: Service) -> None:
    answers: list[httpx.Response] = []

    def send() -> None:
        answers.append(service.register("people", people_csv(20)))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
    found = service.footprint()
    assert (found["table"], found["job"], found["artifact"]) == (1, 1, 1)


def test__several_files__plain_and_compressed__become_one_table(people: Service) -> None:
    parts = [
        b"id,zip,city\na,01067,Dresden\nb,01099,Ulm\n",
        b"city,id,zip\nBonn,c,53111\n",
        b'{"id": "d", "zip": "00001", "city": "Bonn"}\n',
    ]
    files = [
        ("file", (f"part-{number}", gzip.compress(part) if number else part))
        for number, part in enumerate(parts)
    ]
    answer = people.http.post(
        "/v1/tables", data={"name": "several", "columns": '{"id": {"role": "key"}}'}, files=files
    )
    assert answer.status_code == 202, answer.text
    people.work()
    job = people.job(answer)
    assert (job["status"], job["result"]["num_rows"]) == ("succeeded", 4), job
    kinds = {
        column["name"]: column["storage_type"]
        for column in people.http.get("/v1/tables/several").json()["columns"]
    }
    assert kinds["zip"] == "string"
    assert not list(people.settings.uploads_dir.iterdir())


@pytest.mark.parametrize(
    ("parts", "code", "place"),
    [
        ([b"a,b\n1,2\n", b"a,c\n1,2\n"], "files_differ", "file 2 (1.csv)"),
        ([b"a,b\n1,2\n", b""], "empty_file", "File 2 (1.csv)"),
        ([b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n")[:-3]], "damaged_compression", "File 2 (1.csv)"),
        ([gzip.compress(b"a,b\n1,2\n"), b"%PDF-1.7 "], "not_a_table", "File 2 (1.csv)"),
    ],
)
def test__several_files__one_at_fault__is_named_at_once_and_nothing_is_left(
    people: Service, parts: list[bytes], code: str, place: str
) -> None:
    before = people.footprint()
    files = [("file", (f"../{number}.csv", part)) for number, part in enumerate(parts)]
    answer = people.http.post("/v1/tables", data={"name": "fresh"}, files=files)
    assert (answer.status_code, code_of(answer)) == (422, code)
    assert place in answer.json()["detail"]
    assert people.footprint() == before


def test__several_files__more_than_allowed__are_refused(people: Service) -> None:
    before = people.footprint()
    files = [("file", (f"{number}.csv", b"a\n1\n")) for number in range(1_001)]
    answer = people.http.post("/v1/tables", data={"name": "fresh"}, files=files)
    assert (answer.status_code, code_of(answer)) == (422, "too_many_files")
    assert people.footprint() == before


def test__several_files__that_fault_inside__fail_the_job_with_file_and_line(people: Service) -> None:
    files = [("file", ("a.csv", b"a,b\n1,2\n")), ("file", ("b.csv", b"a,b\n1,2\n3\n"))]
    answer = people.http.post("/v1/tables", data={"name": "fresh"}, files=files)
    people.work()
    job = people.job(answer)
    assert (job["status"], job["error"]["code"]) == ("failed", "ragged_row")
    assert job["error"]["message"].startswith("File 2 (b.csv): Line 3")
    assert people.http.get("/v1/tables/fresh").status_code == 404
