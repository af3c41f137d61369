"""What an installation promises, whatever it stands on: one table from its file to its deletion, over HTTP.

The walk over all routes without a right key is `tests/app/routes/test_access.py`, the bitwise rule in depth
`tests/app/serving/test_sameness.py`, the ends of jobs `tests/app/worker/test_fencing.py`; they run on the same platforms.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.executors import Succeeded
from app.jobs import JOB_KINDS
from app.worker import Patience
from app.worker.settling import Settlement
from app.worker.watching import Outcome
from storage.errors import FenceLost
from tests.app.routes.operations import OPERATIONS
from tests.app.routes.service import Service, code_of, people_csv
from tests.platforms import Platform

COLUMNS = {"id": {"role": "key"}, "churned": {"role": "target"}, "city": {"role": "target"}}
ROWS = [{"id": f"q{age}", "age": age, "income": 300 * age + 20_000} for age in range(18, 42)]
HOSTILE = ["\0", "..", "%2e%2e%2f", "' OR 1=1 --", "é", "x" * 300, "-1", "1e999", "{}", "tbl_" + "0" * 26]


@pytest.fixture(scope="module")
def served(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A table with an encoder and two heads: `churn` from a column, `vip` from labels by key."""
    service = Service(tmp_path_factory.mktemp("served") / "home", **platform.settings)
    answer = service.register("people", people_csv(200), columns=COLUMNS)
    assert answer.status_code == 202, answer.text
    service.work()
    done(service, post(service, "/v1/tables/people/encoders", {"max_seconds": 0.5}))
    post(service, "/v1/tables/people/targets", {"name": "churn", "column": "churned"})
    post(service, "/v1/tables/people/targets", {"name": "vip"})
    labels = [{"key": f"p{row}", "value": "yes" if row % 2 else "no"} for row in range(60)]
    post(service, "/v1/tables/people/targets/vip/labels", {"labels": labels})
    for target in ("churn", "vip"):
        path = f"/v1/tables/people/targets/{target}/heads"
        done(service, post(service, path, {"head": {"kind": "linear"}, "max_seconds": 5}))
        alias = f"/v1/tables/people/targets/{target}/aliases/champion"
        if service.http.get(alias).status_code == 404:  # no better than chance, and so not promoted
            service.http.put(alias, json={"version": 1}).raise_for_status()
    yield service
    service.close()


def post(service: Service, path: str, body: Any) -> httpx.Response:
    answer = service.http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer


def done(service: Service, answer: httpx.Response) -> None:
    service.work()
    job = service.job(answer)
    assert job["status"] == "succeeded", job


def predictions(service: Service, **request: Any) -> dict[str, Any]:
    answer = post(service, "/v1/tables/people/predict", {"targets": "*", **request})
    found: dict[str, Any] = answer.json()["predictions"]
    return found


def rows_of(found: dict[str, Any], target: str) -> list[Any]:
    return list(zip(found[target]["label"], found[target]["probabilities"], strict=True))


def test__prediction__alone_and_in_any_company__is_the_same(served: Service) -> None:
    expected = predictions(served, rows=ROWS)
    assert expected.keys() == {"churn", "vip"}
    results: dict[int, Any] = {}

    def ask(position: int) -> None:
        results[position] = predictions(served, rows=[ROWS[position]])

    threads = [threading.Thread(target=ask, args=(position,)) for position in range(len(ROWS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for target in expected:
        assert [rows_of(results[position], target)[0] for position in range(len(ROWS))] == rows_of(
            expected, target
        )
        alone = predictions(served, rows=ROWS, targets=[target])
        assert rows_of(alone, target) == rows_of(expected, target)


@pytest.mark.parametrize("column", ["churned", "city"])
def test__prediction__target_column_changed__does_not_move(served: Service, column: str) -> None:
    expected = predictions(served, rows=ROWS)
    for value in ("Yes", "Lima", None, "never seen", ""):
        assert predictions(served, rows=[{**row, column: value} for row in ROWS]) == expected


def test__restart__changes_nothing(
    served: Service, platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = predictions(served, rows=ROWS), predictions(served, keys=["p1", "p150"])
    home = (
        served.settings.home if platform.name == "sqlite+local" else tmp_path_factory.mktemp("other") / "home"
    )
    again = Service(home, **platform.settings, key=served.key)
    try:
        assert (predictions(again, rows=ROWS), predictions(again, keys=["p1", "p150"])) == expected
        assert platform.name == "sqlite+local" or not again.settings.admin_key_file.exists()
    finally:
        again.close()


def test__job__finished_by_two_workers__publishes_once(served: Service) -> None:
    container = served.container
    answer = post(served, "/v1/tables/people/encoders", {"max_seconds": 0.3})
    with container.database.writing() as uow:
        held = uow.jobs.claim("suspended", list(JOB_KINDS), 0.05)
    assert held is not None
    done(served, answer)
    before = served.footprint()
    settlement = Settlement(
        container.database, container.store, JOB_KINDS, served.settings.scratch_dir, Patience()
    )
    with pytest.raises(FenceLost):
        settlement.settle(held, Outcome(Succeeded({"digest": "0" * 64})))
    assert served.footprint() == before
    job = served.job(answer)
    with container.database.reading() as uow:
        types = [event.type for event in uow.jobs.events(job["id"], limit=1_000)]
    assert types.count("succeeded") == 1
    versions = served.http.get("/v1/tables/people/encoders").json()["encoders"]
    assert sorted(one["version"] for one in versions) == [1, 2]


def test__bad_requests__to_all_routes__leave_nothing_and_never_500(served: Service) -> None:
    before = served.footprint()
    for operation in OPERATIONS:
        for bad in HOSTILE:
            path = operation.template
            for name in ("table", "target", "alias", "version", "job_id", "key_id"):
                path = path.replace(f"{{{name}}}", quote(bad, safe=""))
            if path != operation.template and "{" not in path and not path.rstrip("/").endswith(".."):
                check_refused(served.http.request(operation.method, path, json={"name": bad, "rows": bad}))
        if operation.json is not None:
            for content in (b"{", b"[]", b'{"name": "\\u0000"}', b'{"a": 1e999}', b"\xff\xfe"):
                check_refused(
                    served.http.request(
                        operation.method,
                        operation.path,
                        content=content,
                        headers={"Content-Type": "application/json"},
                    )
                )
    assert served.footprint() == before


def check_refused(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, (answer.request.method, answer.request.url, answer.text)
    assert code_of(answer)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", None), (b"id,age\n", None), (b"\0" * 100, None), (b"a,a\n1,2\n", None), (b"PAR1broken", None)],
)
def test__upload__refused__leaves_nothing(served: Service, content: bytes, code: str | None) -> None:
    before = served.footprint()
    answer = served.register("broken", content)
    if answer.status_code == 202:
        served.work()
        assert served.job(answer)["status"] == "failed"
        after = served.footprint()
        assert after["objects"] == before["objects"]
        assert after["table"] == before["table"]
    else:
        check_refused(answer)
        assert served.footprint() == before


def test__table__deleted__leaves_nothing(own_platform: Platform, tmp_path: Path) -> None:
    service = Service(tmp_path / "home", **own_platform.settings)
    try:
        before = service.footprint()
        service.ready_table("people", 60)
        post(service, "/v1/tables/people/targets", {"name": "churn", "column": "churned"})
        assert service.footprint()["objects"]
        answer = service.http.delete("/v1/tables/people")
        assert answer.is_success, answer.text
        if answer.status_code == 202:
            service.work()
        after = service.footprint()
        for kept in ("job", "job_event", "audit", "catalog_revision", "tombstone"):
            before.pop(kept, None)
            after.pop(kept, None)
        assert after == before
    finally:
        service.close()
