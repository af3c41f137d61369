from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.errors import BundleError, InputError, Interrupted
from models.features import snapshot
from models.features.ingestion import IngestReport, IngestSpec, ingest
from models.features.reading import SourceFile
from models.features.schema import ColumnKind, TableSchema
from models.features.snapshot import KeyIndex, Snapshot
from models.progress import never_stop, no_progress

_TEXT = "id,city,ssn,amount,churned\n" + "".join(
    f"{100 + i},{'Ulm' if i % 3 else 'Köln'},s{i},{i / 4},{'yes' if i % 5 == 0 else 'no'}\n"
    for i in range(120)
)
_COLUMNS = {"id": {"role": "key"}, "ssn": {"role": "drop"}, "churned": {"role": "target"}}


def _ingest(tmp_path: Path, text: str = _TEXT, **said: object) -> IngestReport:
    path = tmp_path / "upload"
    path.write_text(text, encoding="utf-8")
    spec = IngestSpec.model_validate(said)
    files = [SourceFile(path, "t.csv")]
    return ingest(files, spec, tmp_path / "out", progress=no_progress, should_stop=never_stop)


def test__ingest__table_with_roles__is_stored_keyed_and_split(tmp_path: Path) -> None:
    report = _ingest(tmp_path, columns=_COLUMNS)
    stored = Snapshot(tmp_path / "out" / "rows.parquet")
    frame = stored.read()

    assert frame.columns == ["_row", "_key", "_split", "id", "city", "amount", "churned"]
    assert frame["_row"].to_list() == list(range(120))
    assert frame["_key"].to_list() == [str(100 + i) for i in range(120)]
    assert set(frame["_split"]) == {"train", "evaluation"}
    assert report.num_rows == stored.num_rows == 120
    assert report.table_schema["amount"].kind is ColumnKind.CONTINUOUS
    assert report.profile["splits"] == {
        "train": int((~stored.is_evaluation).sum()),
        "evaluation": int(stored.is_evaluation.sum()),
    }


def test__ingest__dropped_column__leaves_no_trace(tmp_path: Path) -> None:
    _ingest(tmp_path, columns=_COLUMNS)
    for file in (tmp_path / "out").iterdir():
        assert b"ssn" not in file.read_bytes()


def test__ingest__files__are_whole_and_json_without_nan(tmp_path: Path) -> None:
    report = _ingest(tmp_path, columns=_COLUMNS)
    schema = TableSchema.model_validate_json((tmp_path / "out" / "schema.json").read_text())
    profile = json.loads((tmp_path / "out" / "profile.json").read_text(), parse_constant=pytest.fail)
    assert schema == report.table_schema
    assert profile == json.loads(json.dumps(report.profile))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "profile.json",
        "rows.parquet",
        "schema.json",
    ]


def test__ingest__same_file_twice__gives_the_same_bytes(tmp_path: Path) -> None:
    _ingest(tmp_path, columns=_COLUMNS)
    first = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    _ingest(tmp_path, columns=_COLUMNS)
    assert first == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("text", "columns", "code", "line"),
    [
        ("id,x\n1,a\n2,b\n1,c\n1,d\n", {"id": {"role": "key"}}, "duplicate_key", 4),
        ("id,x\n1,a\n,b\n3,c\n", {"id": {"role": "key"}}, "null_key", 3),
        ("id,x\n1.5,a\n2.5,b\n", {"id": {"role": "key"}}, "invalid_key_type", None),
        ("id,x\ntrue,a\nfalse,b\n", {"id": {"role": "key"}}, "invalid_key_type", None),
        ("id,x\n1,a\n2,b\n", {"nope": {"role": "drop"}}, "unknown_column", None),
        ("id,x\n1,a\n2,b\n", {"id": {"role": "drop"}, "x": {"role": "drop"}}, "no_features", None),
        ('id,x\n"a\nb",1\n\n"a\nb",2\n', {"id": {"role": "key"}}, "duplicate_key", 5),
    ],
)
def test__ingest__what_does_not_fit__is_refused_and_nothing_is_written(
    tmp_path: Path, text: str, columns: dict[str, object], code: str, line: int | None
) -> None:
    with pytest.raises(InputError) as refused:
        _ingest(tmp_path, text, columns=columns)
    assert (refused.value.code, refused.value.details.get("line")) == (code, line)
    assert not (tmp_path / "out").exists()


def test__ingest__duplicate_key__says_how_many(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        _ingest(tmp_path, "id,x\n1,a\n1,b\n1,c\n2,d\n", columns={"id": {"role": "key"}})
    assert refused.value.details["count"] == 2


def test__ingest__several_key_columns__make_one_key_that_cannot_collide(tmp_path: Path) -> None:
    _ingest(tmp_path, "a,b,x\nu|v,w,1\nu,v|w,2\n", columns={"a": {"role": "key"}, "b": {"role": "key"}})
    assert Snapshot(tmp_path / "out" / "rows.parquet").read(["x"])["_key"].to_list() == ["u\\|v|w", "u|v\\|w"]


def test__ingest__no_key__counts_rows(tmp_path: Path) -> None:
    _ingest(tmp_path, "a,b\n7,x\n8,y\n")
    assert Snapshot(tmp_path / "out" / "rows.parquet").read()["_key"].to_list() == ["0", "1"]


def test__ingest__asked_to_stop__stops_between_steps_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_text(_TEXT, encoding="utf-8")
    seen: list[int] = []

    def progress(step: int, total: int, message: str) -> None:
        seen.append(step)
        assert total == 5
        assert message

    with pytest.raises(Interrupted):
        ingest(
            [SourceFile(path, "t.csv")],
            IngestSpec(),
            tmp_path / "out",
            progress=progress,
            should_stop=lambda: len(seen) == 3,
        )
    assert seen == [0, 1, 2]
    assert not (tmp_path / "out").exists()


def test__snapshot__columns__are_read_in_the_order_asked(tmp_path: Path) -> None:
    _ingest(tmp_path, columns=_COLUMNS)
    stored = Snapshot(tmp_path / "out" / "rows.parquet")
    assert stored.read(["churned", "city"], with_row_ids=False).columns == ["churned", "city"]
    assert stored.read(["city"]).columns == ["_row", "_key", "_split", "city"]
    with pytest.raises(KeyError):
        stored.read(["ssn"])


def test__snapshot__damaged_or_foreign__is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(foreign)
    (tmp_path / "damaged.parquet").write_bytes(foreign.read_bytes()[:50])
    for path in (foreign, tmp_path / "damaged.parquet", tmp_path / "missing.parquet"):
        with pytest.raises(BundleError):
            Snapshot(path)


def test__key_index__many_and_few_keys__are_found_alike() -> None:
    keys = [f"k{i}" for i in range(3_000)]
    index = KeyIndex(pl.Series(keys))
    assert index.rows_of(keys).tolist() == list(range(3_000))
    assert [int(index.rows_of([key])[0]) for key in keys[::500]] == list(range(0, 3_000, 500))
    assert index.rows_of(["k1", "", "K1", "k3000"]).tolist() == [1, -1, -1, -1]
    assert index.rows_of([]).tolist() == []
    assert "k7" in index
    assert "x" not in index
    assert KeyIndex(pl.Series([], dtype=pl.String)).rows_of(["a"]).tolist() == [-1]


def test__key_index__colliding_hashes__are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_hashes", lambda keys: np.zeros(len(keys), dtype=np.int64))
    index = KeyIndex(pl.Series(["a", "b", "c"]))
    assert index.rows_of(["c", "a", "x", "b"]).tolist() == [2, 0, -1, 1]
