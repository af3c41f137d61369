"""What a view hides: changing a hidden column of any kind changes no prediction, bit for bit. And what a bundle keeps."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest
import torch

from models.bundle import EncoderBundle
from models.features.codec import Codec, CodecConfig
from models.features.schema import ColumnKind, TableSchema, Task
from models.fingerprint import encoder_fingerprint
from models.heads import LinearHead
from models.heads.prediction import FittedHead
from models.objectives import MaskedColumns, MaskedColumnsConfig
from models.predictor import Predictor
from models.progress import never_stop, no_progress
from models.training.pretraining import pretrain
from tests.models.kinds_table import DERIVED, KINDS_SCHEMA, kinds_frame
from tests.models.small_tables import TINY, column

OTHER = {
    "joined": pl.lit(dt.date(1987, 6, 5)),
    "seen": pl.lit("05/06/1987 13:00"),
    "stamp": pl.lit(549_800_000, dtype=pl.Int64),
    "note": pl.lit("nothing like the others 123456"),
    "zip": pl.lit("99999"),
    "plz": pl.lit(99999, dtype=pl.Int64),
    "address": pl.lit("2001:db8::1"),
}


def _bundle(frame: pl.DataFrame, schema: TableSchema, config: CodecConfig | None = None) -> EncoderBundle:
    codec = Codec.fit(frame, schema, config)
    encoder = TINY.build(codec, generator=torch.Generator().manual_seed(1))
    return EncoderBundle(
        codec=codec,
        config=TINY,
        encoder=encoder,
        schema=schema,
        report={},
        reference_codes=codec.transform(frame.head(20)),
    )


@pytest.fixture(scope="module")
def bundle() -> EncoderBundle:
    return _bundle(kinds_frame(200), KINDS_SCHEMA)


def _head(bundle: EncoderBundle, view: tuple[str, ...]) -> FittedHead:
    width = bundle.row_features.width(view)
    generator = torch.Generator().manual_seed(2)
    return LinearHead(
        task=Task.BINARY,
        classes=("no", "yes"),
        view=view,
        encoder_fingerprint=encoder_fingerprint(bundle),
        weight=torch.randn(1, width, generator=generator),
        bias=torch.randn(1, generator=generator),
    )


def _probabilities(bundle: EncoderBundle, head: FittedHead, frame: pl.DataFrame) -> bytes:
    found = Predictor(bundle).predict(frame, [head]).predictions[0].probabilities
    assert found is not None
    return found.tobytes()


@pytest.mark.parametrize("name", DERIVED)
def test__predictor__hidden_column_changed__no_prediction_changes(bundle: EncoderBundle, name: str) -> None:
    frame = kinds_frame(30, seed=8)
    hidden, shown = _head(bundle, (name,)), _head(bundle, ())
    changed = frame.with_columns(OTHER[name].alias(name))
    removed = frame.drop(name)
    expected = _probabilities(bundle, hidden, frame)
    assert _probabilities(bundle, hidden, changed) == expected
    assert _probabilities(bundle, hidden, removed) == expected
    # The column does say something where it is not hidden.
    assert _probabilities(bundle, shown, changed) != _probabilities(bundle, shown, frame)
    assert not any(name in feature.split(":")[1] for feature in bundle.row_features.names((name,)))


def test__predictor__rows_of_all_kinds__alone_as_in_company(bundle: EncoderBundle) -> None:
    frame = kinds_frame(40, seed=9)
    head = _head(bundle, ("stamp",))
    together = Predictor(bundle).predict(frame, [head]).predictions[0].probabilities
    assert together is not None
    for row in range(0, 40, 7):
        assert _probabilities(bundle, head, frame[row : row + 1]) == together[row : row + 1].tobytes()


def test__bundle__of_all_kinds__saved_and_loaded_same_features_bitwise(bundle: EncoderBundle) -> None:
    loaded = EncoderBundle.from_files(bundle.to_files())
    codes = bundle.codec.transform(kinds_frame(20, seed=5))
    again = loaded.codec.transform(kinds_frame(20, seed=5))
    for view in ((), ("note",), ("address", "zip")):
        assert torch.equal(loaded.row_features.compute(again, view), bundle.row_features.compute(codes, view))


@pytest.mark.parametrize("min_count", [2, 5])
def test__bundle__values_seen_too_seldom__are_in_none_of_its_bytes(min_count: int) -> None:
    schema = TableSchema(
        columns=(
            column("city", ColumnKind.CATEGORICAL, "string"),
            column("zip", ColumnKind.POSTAL_CODE, "string"),
            column("address", ColumnKind.IP_ADDRESS, "string"),
            column("note", ColumnKind.TEXT, "string"),
        )
    )
    seldom = min_count - 1
    frame = pl.DataFrame(
        {
            "city": ["Oslo"] * 40 + ["Xanadu"] * seldom,
            "zip": ["10115"] * 40 + ["77934"] * seldom,
            "address": ["10.0.0.1"] * 40 + ["203.0.113.77"] * seldom,
            "note": [f"common words {i % 3}" for i in range(40)] + ["Xanadu pleasuredome"] * seldom,
        }
    )
    files = _bundle(frame, schema, CodecConfig(min_count=min_count)).to_files()
    content = b"".join(files.values())
    for kept in (b"Oslo", b"10115", b"10.0.0.0/24"):
        assert kept in content
    for secret in (b"Xanadu", b"pleasuredome", b"77934", b'"779"', b'"77"', b"203.0"):
        assert secret not in content
    codec = json.loads(files["encoder.json"])["codec"]
    assert {tuple(one["categories"]) for one in codec["columns"] if one["name"] == "zip·prefix_1"} == {("1",)}


def test__masked_columns__columns_of_one_source__are_masked_together(bundle: EncoderBundle) -> None:
    generator = torch.Generator().manual_seed(3)
    objective = MaskedColumnsConfig().build(bundle.codec, bundle.encoder, generator=generator)
    assert isinstance(objective, MaskedColumns)
    mask = objective.draw_mask(200, generator=generator)
    for source in range(len(bundle.codec.sources)):
        columns = mask[:, bundle.codec.source_index == source]
        assert torch.equal(columns, columns[:, :1].expand_as(columns))
    assert 0.1 < float(mask.float().mean()) < 0.9


def test__pretrain__all_kinds__reports_by_column_of_the_table() -> None:
    found = pretrain(
        kinds_frame(80),
        KINDS_SCHEMA,
        architecture=TINY,
        objectives=[MaskedColumnsConfig()],
        max_seconds=1.0,
        seed=0,
        checkpoint_dir=None,
        progress=no_progress,
        should_stop=never_stop,
        num_steps=4,
        sizes=CodecConfig(min_count=3),
    )
    assert set(found.report["columns"]) == set(KINDS_SCHEMA.names)
    assert set(found.report["columns"]["zip"]["parts"]) == {"prefix_1", "prefix_2", "prefix_3", "code"}
    assert found.report["columns"]["seen"]["kind"] == "datetime"
    assert found.report["codec"]["min_count"] == 3
    json.dumps(found.report, allow_nan=False)
