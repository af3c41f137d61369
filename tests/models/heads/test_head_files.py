"""Files of a head: golden ones are read and written alike; what is damaged, swapped or unknown is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from models.errors import BundleError
from models.heads import load_head
from models.heads.files import HEADER_NAME, TENSORS_NAME
from models.heads.linear_head import LinearHead
from tests.models.golden.regenerate_head_v1 import EXPECTED_FILE, FOLDER, golden_heads, outputs_of

NAMES = sorted(golden_heads())


def _golden(name: str) -> dict[str, bytes]:
    return {file: (FOLDER / name / file).read_bytes() for file in (HEADER_NAME, TENSORS_NAME)}


@pytest.mark.parametrize("name", NAMES)
def test__golden_head__format_1__gives_the_committed_outputs(name: str) -> None:
    head = load_head(_golden(name))
    assert isinstance(head, LinearHead)
    expected = json.loads((FOLDER / name / EXPECTED_FILE).read_text())
    found = outputs_of(head)
    assert found.keys() == expected.keys()
    for field, numbers in expected.items():
        # Logits are exact; exp and the t quantile may differ in the last bits between processors.
        np.testing.assert_allclose(
            np.asarray(found[field], dtype=np.float64),
            numbers,
            atol=1e-12,
            rtol=1e-12,
        )


@pytest.mark.parametrize("name", NAMES)
def test__golden_head__loaded__has_the_words_it_was_written_with(name: str) -> None:
    head, written = load_head(_golden(name)), golden_heads()[name]
    assert (head.task, head.classes, head.view) == (written.task, written.classes, written.view)
    assert head.encoder_fingerprint == written.encoder_fingerprint
    assert isinstance(head, LinearHead)
    assert torch.equal(head.weight, written.weight)
    assert torch.equal(head.bias, written.bias)


@pytest.mark.parametrize("name", NAMES)
def test__golden_head__loaded_and_saved__same_bytes(name: str) -> None:
    files = _golden(name)
    assert load_head(files).to_files() == files
    assert load_head({**files, "judged.safetensors": b"of no concern here"}).to_files() == files


def _with_header(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    header = json.loads(files[HEADER_NAME]) | changes
    return {**files, HEADER_NAME: json.dumps(header).encode()}


def _with_tensor(files: dict[str, bytes], name: str, tensor: torch.Tensor) -> dict[str, bytes]:
    return {**files, TENSORS_NAME: save({**load(files[TENSORS_NAME]), name: tensor})}


def _section(files: dict[str, bytes], name: str) -> dict[str, object]:
    section = json.loads(files[HEADER_NAME])[name]
    assert isinstance(section, dict)
    return section


Damage = Callable[[dict[str, bytes]], dict[str, bytes]]
DAMAGES: dict[str, tuple[str, Damage]] = {
    "no header": ("binary", lambda files: {TENSORS_NAME: files[TENSORS_NAME]}),
    "no tensors": ("binary", lambda files: {HEADER_NAME: files[HEADER_NAME]}),
    "cut header": ("binary", lambda files: {**files, HEADER_NAME: files[HEADER_NAME][:-9]}),
    "cut tensors": ("binary", lambda files: {**files, TENSORS_NAME: files[TENSORS_NAME][:-3]}),
    "not an object": ("binary", lambda files: {**files, HEADER_NAME: b"[]"}),
    "deep header": ("binary", lambda files: {**files, HEADER_NAME: b"[" * 100_000}),
    "NaN": ("binary", lambda files: {**files, HEADER_NAME: files[HEADER_NAME].replace(b"0.8", b"NaN")}),
    "infinite": (
        "binary",
        lambda files: {**files, HEADER_NAME: files[HEADER_NAME].replace(b"0.8", b"1e999")},
    ),
    "huge integer": (
        "binary",
        lambda files: {**files, HEADER_NAME: files[HEADER_NAME].replace(b"0.8", b"1" * 400)},
    ),
    "other format": ("binary", lambda files: _with_header(files, format="rootstock.encoder")),
    "other kind": ("binary", lambda files: _with_header(files, kind="no such kind")),
    "other task": ("binary", lambda files: _with_header(files, task="ranking")),
    "one class": ("binary", lambda files: _with_header(files, classes=["x"])),
    "classes of objects": ("binary", lambda files: _with_header(files, classes=[{}, {}])),
    "fewer classes": ("multiclass", lambda files: _with_header(files, classes=["a", "b"])),
    "unsorted view": ("binary", lambda files: _with_header(files, view=["b", "a"])),
    "no fingerprint": ("binary", lambda files: _with_header(files, encoder_fingerprint=None)),
    "calibration without shift": ("binary", lambda files: _with_header(files, calibration={"scale": 1.0})),
    "shift of words": (
        "binary",
        lambda files: _with_header(files, calibration={"scale": 1.0, "shift": ["a"]}),
    ),
    "intervals without counts": ("regression", lambda files: _with_header(files, intervals={})),
    "no labels behind intervals": (
        "regression",
        lambda files: _with_header(files, intervals={"num_labels": 0, "mean": 0, "spread": 1}),
    ),
    "unordered residuals": (
        "regression",
        lambda files: _with_tensor(
            files, "interval_residuals", torch.tensor([3.0, 2, 1, 0, -1], dtype=torch.float64)
        ),
    ),
    "sets without tables": ("sets", lambda files: _with_header(files, sets={})),
    "sets of no class": (
        "sets",
        lambda files: _with_header(files, sets=_section(files, "sets") | {"group_of": []}),
    ),
    "sets of an unknown group": (
        "sets",
        lambda files: _with_header(files, sets=_section(files, "sets") | {"group_of": [0, 1, 2]}),
    ),
    "sets of negative length": (
        "sets",
        lambda files: _with_header(files, sets=_section(files, "sets") | {"num_points": [7, -1]}),
    ),
    "sets of half a point": (
        "sets",
        lambda files: _with_header(files, sets=_section(files, "sets") | {"num_points": [2.5, 3.5]}),
    ),
    "sets in words": (
        "sets",
        lambda files: _with_header(files, sets=_section(files, "sets") | {"num_labels": ["3", "12"]}),
    ),
    "unordered set scores": (
        "sets",
        lambda files: _with_tensor(files, "set_scores", torch.linspace(0, 1, 6, dtype=torch.float64)),
    ),
    "scale without sizes": (
        "scaled_regression",
        lambda files: _with_header(
            files, scaled_intervals=_section(files, "scaled_intervals") | {"sizes": []}
        ),
    ),
    "scale of nothing": (
        "scaled_regression",
        lambda files: _with_header(
            files, scaled_intervals=_section(files, "scaled_intervals") | {"sizes": [1, 0, 1]}
        ),
    ),
    "unordered scale": (
        "scaled_regression",
        lambda files: _with_header(
            files, scaled_intervals=_section(files, "scaled_intervals") | {"positions": [1, 3, 2]}
        ),
    ),
    "weight not finite": (
        "binary",
        lambda files: _with_tensor(files, "weight", torch.tensor([[0.0, float("nan"), 1.0]])),
    ),
    "weight in double": (
        "binary",
        lambda files: _with_tensor(files, "weight", torch.zeros(1, 3, dtype=torch.float64)),
    ),
    "two biases": ("binary", lambda files: _with_tensor(files, "bias", torch.zeros(2))),
    "header of another head": (
        "multiclass",
        lambda files: {**files, HEADER_NAME: _golden("binary")[HEADER_NAME]},
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test__head_files__damaged__refused_as_a_bundle_error(damage: str) -> None:
    name, break_it = DAMAGES[damage]
    with pytest.raises(BundleError):
        load_head(break_it(_golden(name)))


def test__head_files__later_format_version__refused_with_its_code() -> None:
    with pytest.raises(BundleError) as caught:
        load_head(_with_header(_golden("binary"), format_version=2))
    assert caught.value.code == "unknown_format_version"
