"""Tables from folders of the server: what the operator allowed, nothing else, and never a path in an answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.routes.service import Service, code_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("secret-place")
    (root / "outside.csv").write_text("a,b\n9,9\n")
    exports = root / "exports"
    exports.mkdir()
    for month, first in (("2024-02", 100), ("2024-01", 0)):
        rows = "".join(f"{first + row},{row % 3}\n" for row in range(20))
        (exports / f"{month}.csv").write_text(f"id,size\n{rows}")
    (exports / ".hidden.csv").write_text("a,b\n1,2\n")
    (exports / "other.txt").write_text("x;y\n1;2\n")
    (exports / "inner.lnk").symlink_to(exports / "2024-01.csv")
    (exports / "loop.lnk").symlink_to(exports / "loop.lnk")
    (exports / "leak.csv-link").symlink_to(root / "outside.csv")
    (exports / "passwd.link").symlink_to("/etc/passwd")
    (exports / "folder.csv").mkdir()
    os.mkfifo(exports / "pipe.csv")
    return exports


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Service]:
    folders = {"exports": folder, "gone": folder / "no-such"}
    running = Service(tmp_path_factory.mktemp("home"), source_folders=folders)
    yield running
    running.close()


def register(service: Service, name: str, source: Any, **more: Any) -> httpx.Response:
    return service.http.post("/v1/tables", json={"name": name, "source": source, **more})


def test__folder__files_that_match__become_one_table_in_the_order_of_their_names(service: Service) -> None:
    answer = register(
        service, "months", {"folder": "exports", "pattern": "2024-*.csv"}, columns={"id": {"role": "key"}}
    )
    assert answer.status_code == 202, answer.text
    service.work()
    job = service.job(answer)
    assert (job["status"], job["result"]["num_rows"]) == ("succeeded", 40)
    with service.container.database.reading() as uow:
        payload = uow.jobs.get(uow.workspaces.list()[0].id, job["id"]).payload
    assert [file["filename"] for file in payload["files"]] == ["2024-01.csv", "2024-02.csv"]
    assert not list(service.settings.uploads_dir.iterdir())


def test__folder__link_inside_it__is_read(service: Service) -> None:
    assert register(service, "inner", {"folder": "exports", "pattern": "inner.lnk"}).status_code == 202


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ({"folder": "nowhere"}, 404, "unknown_source"),
        ({"folder": "gone"}, 503, "source_unavailable"),
        ({"folder": "exports", "pattern": "*.parquet"}, 422, "no_matching_files"),
        ({"folder": "exports", "pattern": "pipe.csv"}, 422, "no_matching_files"),
        ({"folder": "exports", "pattern": "folder.csv"}, 422, "no_matching_files"),
        ({"folder": "exports", "pattern": "loop.lnk"}, 422, "no_matching_files"),
        ({"folder": "exports", "pattern": "[.]hidden.csv"}, 422, "no_matching_files"),
        ({"folder": "exports", "pattern": ".hidden.csv"}, 422, "invalid_pattern"),
        ({"folder": "exports", "pattern": "leak*"}, 422, "link_outside_source"),
        ({"folder": "exports", "pattern": "passwd.link"}, 422, "link_outside_source"),
        ({"folder": "exports", "pattern": "../outside.csv"}, 422, "invalid_pattern"),
        ({"folder": "exports", "pattern": "/etc/passwd"}, 422, "invalid_pattern"),
        ({"folder": "exports", "pattern": "..\\outside.csv"}, 422, "invalid_pattern"),
        ({"folder": "exports", "pattern": "a\0b"}, 422, "invalid_pattern"),
        ({"folder": "exports", "pattern": ""}, 422, "invalid_request"),
        ({"folder": "exports", "pattern": "*" * 201}, 422, "invalid_request"),
        ({"folder": "../exports"}, 422, "invalid_request"),
        ({"folder": "exports", "pattern": "[o2]*.[ct][sx][vt]"}, 422, "files_differ"),
        ({"folder": "exports", "path": "/etc"}, 422, "invalid_request"),
        ("exports", 422, "invalid_request"),
    ],
)
def test__folder__what_is_not_allowed__is_refused_without_a_path_and_leaves_nothing(
    service: Service, folder: Path, source: Any, status: int, code: str
) -> None:
    before = service.footprint()
    answer = register(service, "fresh", source)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert "secret-place" not in answer.text
    assert service.footprint() == before


def test__sources__listed__are_words_and_counts(service: Service) -> None:
    listed = service.http.get("/v1/sources", params={"pattern": "2024-*.csv"})
    assert listed.json() == {
        "sources": [{"folder": "exports", "num_files": 2}, {"folder": "gone", "num_files": None}]
    }
    assert (
        service.http.get("/v1/sources").json()["sources"][0]["num_files"] == 4
    )  # 2024-*, other.txt, inner.lnk
    assert code_of(service.http.get("/v1/sources", params={"pattern": "../*"})) == "invalid_pattern"
    with service.client(service.key_of("default", "predict")) as stranger:
        assert stranger.get("/v1/sources").status_code == 403


def test__body__with_a_content_encoding__is_refused(service: Service) -> None:
    answer = service.http.post(
        "/v1/tables", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
    )  # fmt: skip
    assert (answer.status_code, code_of(answer)) == (415, "unsupported_content_encoding")


@pytest.mark.parametrize("text", ["exports", "exports=relative/x", "Ex=/data", "a=/x,a=/y", "a/b=/x"])
def test__setting__that_names_no_folders__is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ROOTSTOCK_SOURCE_FOLDERS", text)
    with pytest.raises(ValueError, match=r"source folder|absolute"):
        Settings()


def test__setting__words_and_folders__are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOTSTOCK_SOURCE_FOLDERS", "exports=/data/exports, landing=/srv/landing,")
    assert Settings().source_folders == {"exports": Path("/data/exports"), "landing": Path("/srv/landing")}
