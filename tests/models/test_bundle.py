"""Encoder bundles: what is saved is what is loaded; damage and unknown formats are refused; the golden one reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.bundle import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    OBJECTIVES_FILE,
    REFERENCE_FILE,
    WEIGHTS_FILE,
    EncoderBundle,
)
from models.errors import BundleError
from models.layers.column_outputs import ColumnOutputs
from tests.models.golden.regenerate_encoder_v1 import EXPECTED_FILE, FOLDER, VIEWS, golden_rows
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame, untrained


@pytest.fixture(scope="module")
def bundle() -> EncoderBundle:
    table = untrained(mixed_frame(50), MIXED_SCHEMA)
    return EncoderBundle(
        codec=table.codec,
        config=TINY,
        encoder=table.encoder,
        schema=MIXED_SCHEMA,
        report={"note": "untrained"},
        reference_codes=table.codes,
    )


def test__bundle__saved_and_loaded__same_features_bitwise(bundle: EncoderBundle) -> None:
    files = bundle.to_files()
    loaded = EncoderBundle.from_files(files)
    codes = loaded.codec.transform(mixed_frame(30, seed=9))
    for view in ((), ("colour",), ("colour", "noise", "price", "warmth")):
        assert torch.equal(loaded.row_features.compute(codes, view), bundle.row_features.compute(codes, view))
    assert loaded.schema == bundle.schema
    assert loaded.config == bundle.config
    assert loaded.report == bundle.report
    assert torch.equal(loaded.reference_codes.index, bundle.reference_codes.index)
    assert torch.equal(loaded.reference_codes.fraction, bundle.reference_codes.fraction)
    assert loaded.num_bytes == bundle.num_bytes > 0
    assert loaded.to_files() == files


def test__bundle__loaded__needs_no_gradient(bundle: EncoderBundle) -> None:
    loaded = EncoderBundle.from_files(bundle.to_files())
    assert not loaded.encoder.training
    assert not any(parameter.requires_grad for parameter in loaded.encoder.parameters())


@pytest.mark.parametrize("name", [MANIFEST_FILE, WEIGHTS_FILE, REFERENCE_FILE])
@pytest.mark.parametrize("damage", ["gone", "cut", "flip", "empty"])
def test__bundle__file_damaged__is_refused(bundle: EncoderBundle, name: str, damage: str) -> None:
    files = bundle.to_files()
    content = bytearray(files[name])
    content[-2] ^= 1
    replaced = {"cut": files[name][:-5], "flip": bytes(content), "empty": b""}
    if damage == "gone":
        del files[name]
    else:
        files[name] = replaced[damage]
    with pytest.raises(BundleError):
        EncoderBundle.from_files(files)


def test__bundle__weights_of_another_bundle__are_refused(bundle: EncoderBundle) -> None:
    other = untrained(mixed_frame(50), MIXED_SCHEMA, seed=1)
    swapped = EncoderBundle(
        codec=other.codec,
        config=TINY,
        encoder=other.encoder,
        schema=MIXED_SCHEMA,
        report={},
        reference_codes=other.codes,
    )
    with pytest.raises(BundleError, match="not the file the manifest lists"):
        EncoderBundle.from_files(bundle.to_files() | {WEIGHTS_FILE: swapped.to_files()[WEIGHTS_FILE]})


@pytest.mark.parametrize(
    ("field", "value"),
    [("codec", {"columns": []}), ("config", {"kind": "other"}), ("layout", 99), ("schema", None)],
)
def test__bundle__manifest_does_not_fit_the_weights__is_refused(
    bundle: EncoderBundle, field: str, value: object
) -> None:
    files = bundle.to_files()
    manifest = json.loads(files[MANIFEST_FILE]) | {field: value}
    with pytest.raises(BundleError):
        EncoderBundle.from_files(files | {MANIFEST_FILE: json.dumps(manifest).encode()})


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "1", None])
def test__bundle__format_of_the_future__is_refused_by_number(bundle: EncoderBundle, version: object) -> None:
    files = bundle.to_files()
    manifest = json.loads(files[MANIFEST_FILE]) | {"format": version}
    with pytest.raises(BundleError) as caught:
        EncoderBundle.from_files(files | {MANIFEST_FILE: json.dumps(manifest).encode()})
    assert caught.value.code == "unknown_bundle_format"


def _golden_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (MANIFEST_FILE, WEIGHTS_FILE, REFERENCE_FILE)}


@pytest.mark.parametrize("view", VIEWS)
def test__golden_bundle__format_1__gives_the_committed_features(view: tuple[str, ...]) -> None:
    loaded = EncoderBundle.from_files(_golden_files(FOLDER))
    expected = json.loads((FOLDER / EXPECTED_FILE).read_text())["/".join(view)]
    features = loaded.row_features.compute(loaded.codec.transform(golden_rows()), view)
    # float32 and other processors: close, not equal.
    torch.testing.assert_close(features, torch.tensor(expected), atol=2e-5, rtol=1e-4)


def test__golden_bundle__format_1__has_no_column_guesses_and_is_saved_in_the_current_format() -> None:
    loaded = EncoderBundle.from_files(_golden_files(FOLDER))
    assert loaded.column_guesses is None
    again = EncoderBundle.from_files(loaded.to_files())
    assert json.loads(loaded.to_files()[MANIFEST_FILE])["format"] == FORMAT_VERSION
    codes = loaded.codec.transform(golden_rows())
    assert again.codec == loaded.codec
    assert torch.equal(again.row_features.compute(codes, ()), loaded.row_features.compute(codes, ()))


@pytest.fixture(scope="module")
def guessing(bundle: EncoderBundle) -> EncoderBundle:
    """The same encoder with outputs of masked columns."""
    generator = torch.Generator().manual_seed(4)
    outputs = ColumnOutputs(bundle.codec, bundle.encoder.d_model, generator=generator)
    return EncoderBundle(
        codec=bundle.codec,
        config=bundle.config,
        encoder=bundle.encoder,
        schema=bundle.schema,
        report=bundle.report,
        reference_codes=bundle.reference_codes,
        column_outputs=outputs,
    )


def test__bundle__with_column_outputs__saved_and_loaded_same_guesses_bitwise(
    bundle: EncoderBundle, guessing: EncoderBundle
) -> None:
    files = guessing.to_files()
    assert set(files) == {*bundle.to_files(), OBJECTIVES_FILE}
    loaded = EncoderBundle.from_files(files)
    assert loaded.to_files() == files
    assert loaded.num_bytes == guessing.num_bytes > bundle.num_bytes
    codes = loaded.codec.transform(mixed_frame(30, seed=9))
    assert loaded.column_guesses is not None
    assert guessing.column_guesses is not None
    for one, other in zip(
        loaded.column_guesses.compute(codes, ("noise",), ("colour", "price")),
        guessing.column_guesses.compute(codes, ("noise",), ("colour", "price")),
        strict=True,
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("damage", ["gone", "cut", "flip", "empty"])
def test__bundle__column_outputs_damaged__is_refused(guessing: EncoderBundle, damage: str) -> None:
    files = guessing.to_files()
    content = files.pop(OBJECTIVES_FILE)
    if damage != "gone":
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        files[OBJECTIVES_FILE] = {"cut": content[:-1], "flip": flipped, "empty": b""}[damage]
    with pytest.raises(BundleError):
        EncoderBundle.from_files(files)


def test__bundle__column_outputs_nobody_listed__are_not_read(
    bundle: EncoderBundle, guessing: EncoderBundle
) -> None:
    files = bundle.to_files() | {OBJECTIVES_FILE: guessing.to_files()[OBJECTIVES_FILE]}
    assert EncoderBundle.from_files(files).column_guesses is None
