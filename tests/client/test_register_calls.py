"""What registering sends: fields, files, frames, files of the server."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from rootstock_client import InvalidArgumentError, ServerFiles
from tests.client.service import PreparedService, form_of, job, ok

STARTED = {"table": {"name": "t", "status": "registering"}, "job": job(kind="ingest")}


def test__register__file__streams_it_after_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("id,age\n1,2\n")
    service = PreparedService(ok(STARTED, 202))
    started = service.client().register(
        "t",
        path,
        columns={"age": {"kind": "continuous"}},
        key="id",
        targets=["churned", "plan"],
        drop=["ssn"],
        split="time",
        evaluation_fraction=0.2,
        reading={"delimiter": ";"},
        pretrain=True,
    )
    form = form_of(service.requests[0])
    assert list(form)[-1] == "file"
    assert form.pop("file") == path.read_bytes()
    assert b'filename="customers.csv"' in service.requests[0].content
    assert json.loads(form.pop("columns")) == {
        "age": {"kind": "continuous"},
        "id": {"role": "key"},
        "churned": {"role": "target"},
        "plan": {"role": "target"},
        "ssn": {"role": "drop"},
    }
    assert json.loads(form.pop("split")) == {"by": "time"}
    assert json.loads(form.pop("reading")) == {"delimiter": ";"}
    assert form == {"name": b"t", "evaluation_fraction": b"0.2", "pretrain": b"true"}
    assert (started.kind, started.status, started.created) == (
        "ingest",
        "queued",
        {"table": STARTED["table"]},
    )


def test__register__frame__is_sent_as_parquet() -> None:
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    service = PreparedService(ok(STARTED, 202))
    service.client().register("t", frame)
    form = form_of(service.requests[0])
    assert pl.read_parquet(form["file"]).equals(frame)
    assert b'filename="t.parquet"' in service.requests[0].content
    assert set(form) == {"name", "file"}


def test__register__missing_file_or_two_roles__is_refused_before_sending(tmp_path: Path) -> None:
    client = PreparedService().client()
    with pytest.raises(InvalidArgumentError, match="no file"):
        client.register("t", tmp_path / "none.csv")
    with pytest.raises(InvalidArgumentError, match="a column has one"):
        client.register("t", pl.DataFrame({"a": [1]}), key="a", drop="a")


def test__register__several_files__are_parts_of_one_form_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.csv", "a.csv")]
    for path in paths:
        path.write_text(f"x,y\n{path.stem},1\n")
    service = PreparedService(ok(STARTED, 202))
    service.client().register("t", paths)
    body = service.requests[0].content
    assert body.count(b'name="file"; filename=') == 2
    assert body.index(b"b.csv") < body.index(b"a.csv")
    with pytest.raises(InvalidArgumentError, match="at least one"):
        service.client().register("t", [])


def test__register__files_of_the_server__are_named_in_json() -> None:
    service = PreparedService(ok(STARTED, 202))
    source = ServerFiles("exports", "2024-*.csv")
    service.client().register("t", source, key="id", evaluation_fraction=0.25, reading={"decimal": ","})
    assert json.loads(service.requests[0].content) == {
        "name": "t",
        "columns": {"id": {"role": "key"}},
        "evaluation_fraction": 0.25,
        "reading": {"decimal": ","},
        "source": {"folder": "exports", "pattern": "2024-*.csv"},
    }


def test__sources__listed__with_their_pattern() -> None:
    found = [{"folder": "exports", "num_files": 2}]
    service = PreparedService(ok({"sources": found}))
    assert service.client().sources("*.csv") == found
    assert service.requests[0].url.params["pattern"] == "*.csv"
