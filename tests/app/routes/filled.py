"""A service with something of everything in its table, and whether its store has anything that it should not."""

from __future__ import annotations

from pathlib import Path

from tests.app.routes.service import PEOPLE_ROLES, Service, people_csv

SECRET = "zebra-quartz-unmistakable"
KEY = "person-of-interest-77"


def csv_with_secret(num_rows: int = 240) -> bytes:
    """People with a note; one row has a key and a note that stand nowhere else."""
    lines = people_csv(num_rows).decode().splitlines()
    out = [lines[0] + ",note", *(f"{line},note {number % 5}" for number, line in enumerate(lines[1:]))]
    out.insert(7, f"{KEY},33,Oslo,31234,Yes,{SECRET}")
    return ("\n".join(out) + "\n").encode()


def filled_service(home: Path) -> Service:
    """A table with two snapshots, labels by key in two versions, one parked, an encoder and two heads."""
    service = Service(home)
    try:
        _fill(service)
    except BaseException:
        service.close()
        raise
    return service


def _fill(service: Service) -> None:
    columns = {**PEOPLE_ROLES, "note": {"kind": "text"}}
    assert service.register("people", csv_with_secret(), columns=columns).status_code == 202
    service.work()
    service.http.post(
        "/v1/tables/people/targets", json={"name": "churn", "column": "churned"}
    ).raise_for_status()
    service.http.post(
        "/v1/tables/people/targets", json={"name": "likes", "task": "binary"}
    ).raise_for_status()
    labels = [{"key": f"p{row}", "value": "ab"[row % 2]} for row in range(200)]
    url = "/v1/tables/people/targets/likes/labels"
    service.http.post(url, json={"labels": [*labels, {"key": KEY, "value": "a"}]}).raise_for_status()
    service.http.post(
        url, json={"labels": [{"key": "parked-1", "value": "b"}, {"key": "p201", "value": "b"}]}
    ).raise_for_status()
    service.http.post("/v1/tables/people/encoders", json={"max_seconds": 1}).raise_for_status()
    service.work()
    body = {"targets": ["churn", "likes"], "max_seconds": 10}
    service.http.post("/v1/tables/people/fine-tunes", json=body).raise_for_status()
    service.work()
    more = b"id,age,city,income,churned,note\nnew1,40,Rome,31000,No,note 1\n"
    files = {"file": ("more.csv", more, "text/csv")}
    service.http.post("/v1/tables/people/snapshots", data={"mode": "append"}, files=files).raise_for_status()
    service.work()


def is_clean(service: Service) -> bool:
    """Whether the store has what the database refers to, and nothing else."""
    with service.container.database.reading() as uow:
        (workspace,) = uow.workspaces.list()
        referenced = uow.artifacts.all_digests(workspace.id)
    return {found.digest for found in service.container.store.list(workspace.id)} == referenced
