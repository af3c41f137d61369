"""The committed encoder bundle of format 2 says what it said: derived columns, hash buckets, guesses."""

from __future__ import annotations

import json

import pytest
import torch

from models.bundle import FORMAT_VERSION, EncoderBundle
from tests.models.golden.regenerate_encoder_v2 import EXPECTED_FILE, FOLDER, GUESSED, VIEWS, golden_rows
from tests.models.golden.regenerate_row_features_v2 import EXPECTED as EXPECTED_IN_LAYOUT_2
from tests.models.golden.regenerate_row_features_v2 import in_layout_2


def _files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name != EXPECTED_FILE}


def _expected(name: str) -> torch.Tensor:
    return torch.tensor(json.loads((FOLDER / EXPECTED_FILE).read_text())[name])


@pytest.fixture(scope="module")
def loaded() -> EncoderBundle:
    return EncoderBundle.from_files(_files())


@pytest.mark.parametrize("view", VIEWS)
def test__golden_bundle__format_2__gives_the_committed_features(
    loaded: EncoderBundle, view: tuple[str, ...]
) -> None:
    features = loaded.row_features.compute(loaded.codec.transform(golden_rows()), view)
    # float32 and other processors: close, not equal.
    torch.testing.assert_close(features, _expected("/".join(view)), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("view", VIEWS)
def test__golden_bundle__layout_2__gives_the_committed_features(view: tuple[str, ...]) -> None:
    bundle = in_layout_2(_files())
    features = bundle.row_features.compute(bundle.codec.transform(golden_rows()), view)
    expected = json.loads(EXPECTED_IN_LAYOUT_2.read_text())["/".join(view)]
    torch.testing.assert_close(features, torch.tensor(expected), atol=2e-5, rtol=1e-4)


def test__golden_bundle__format_2__gives_the_committed_codes_and_guesses(loaded: EncoderBundle) -> None:
    codes = loaded.codec.transform(golden_rows())
    assert torch.equal(codes.local(), _expected("codes"))
    assert loaded.column_guesses is not None
    guess = loaded.column_guesses.compute(codes, (), (GUESSED,))[0]
    torch.testing.assert_close(guess, _expected("guess"), atol=2e-5, rtol=1e-4)


def test__golden_bundle__format_2_loaded_and_saved__same_bytes(loaded: EncoderBundle) -> None:
    assert FORMAT_VERSION == 2
    assert loaded.to_files() == _files()
