"""What is deleted goes with its rows and objects, says what went, and is refused while something stands on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.routes.filled import filled_service, is_clean
from tests.app.routes.service import Service, code_of


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = filled_service(tmp_path_factory.mktemp("deletions") / "home")
    yield service
    service.close()


def test__delete__from_the_leaves_to_the_table__says_what_went_and_leaves_no_object(service: Service) -> None:
    http = service.http
    in_use = http.delete("/v1/tables/people/snapshots/1")  # the encoder's
    assert (in_use.status_code, code_of(in_use)) == (409, "snapshot_in_use")
    assert "encoder 1" in in_use.json()["detail"]
    current = http.delete("/v1/tables/people/snapshots/2")
    assert (current.status_code, code_of(current)) == (409, "snapshot_in_use")
    assert http.delete("/v1/tables/people/snapshots/3").status_code == 404
    assert code_of(http.delete("/v1/tables/people/encoders/1")) == "encoder_in_use"
    assert code_of(http.delete("/v1/tables/people/targets/likes/label-sets/2")) == "label_set_in_use"
    assert is_clean(service)

    http.post("/v1/tables/people/snapshots/1/restore").raise_for_status()  # shares the rows of 1
    gone = http.delete("/v1/tables/people/snapshots/2")
    assert gone.json() == {"version": 2, "rows": 242, "artifacts": 3}
    assert http.get("/v1/tables/people/snapshots/2").status_code == 404
    assert [one["version"] for one in http.get("/v1/tables/people/snapshots").json()["snapshots"]] == [3, 1]
    assert is_clean(service)

    gone = http.delete("/v1/tables/people/targets/likes/label-sets/1")
    assert (gone.status_code, gone.json()["artifacts"]) == (200, 1)
    aliases = http.get("/v1/tables/people/targets/likes/heads/1").json()["aliases"]
    for alias in aliases:
        assert http.delete(f"/v1/tables/people/targets/likes/aliases/{alias}").status_code == 200
    gone = http.delete("/v1/tables/people/targets/likes/heads/1")
    assert gone.json()["artifacts"] >= 3
    assert is_clean(service)

    gone = http.delete("/v1/tables/people/targets/likes")
    assert (gone.json()["heads"], gone.json()["label_sets"], gone.json()["artifacts"]) == (0, 1, 1)
    gone = http.delete("/v1/tables/people")
    assert (gone.json()["snapshots"], gone.json()["encoders"], gone.json()["targets"]) == (2, 1, 1)
    assert is_clean(service)
    assert service.footprint()["objects"] == []
