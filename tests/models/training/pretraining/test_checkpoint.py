"""Checkpoints: complete or not there, damage is seen, the previous one steps in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from models.training.checkpoint import NUM_KEPT, Checkpoint, CheckpointStore, flatten, unflatten


def _checkpoint(step: int, fingerprint: str = "run") -> Checkpoint:
    return Checkpoint({"weights": torch.full((64,), float(step))}, {"fingerprint": fingerprint, "step": step})


def _load(store: CheckpointStore, problems: list[str] | None = None) -> int | None:
    found = store.load_latest("run", on_problem=(problems if problems is not None else []).append)
    return None if found is None else int(found.state["step"])


def _files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def test__checkpoints__saved_and_loaded__equal(tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(7, _checkpoint(7))
    found = CheckpointStore(tmp_path).load_latest("run", on_problem=pytest.fail)
    assert found is not None
    assert found.state == {"fingerprint": "run", "step": 7}
    assert torch.equal(found.tensors["weights"], torch.full((64,), 7.0))


def test__checkpoints__empty_folder__none(tmp_path: Path) -> None:
    assert _load(CheckpointStore(tmp_path / "new")) is None


def test__checkpoints__many_saved__newest_wins_and_old_ones_go(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (1, 5, 20, 100):
        store.save(step, _checkpoint(step))
    assert _load(store) == 100
    assert len(_files(tmp_path)) == NUM_KEPT


def test__checkpoints__files_and_folder__are_private(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "run")
    store.save(1, _checkpoint(1))
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert _files(tmp_path / "run")[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "directory"])
def test__checkpoints__newest_damaged__previous_one_is_used_and_it_is_said(
    tmp_path: Path, damage: str
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, _checkpoint(1))
    store.save(2, _checkpoint(2))
    newest = _files(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(content[:-10])
    elif damage == "flip":
        content[-3] ^= 1
        newest.write_bytes(content)
    elif damage == "empty":
        newest.write_bytes(b"")
    else:
        newest.unlink()
        newest.mkdir()
    problems: list[str] = []
    assert _load(store, problems) == 1
    assert len(problems) == 1
    assert "step 2 is damaged" in problems[0]


def test__checkpoints__all_damaged__none_and_it_is_said(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, _checkpoint(1))
    _files(tmp_path)[0].write_bytes(b"not a checkpoint")
    problems: list[str] = []
    assert _load(store, problems) is None
    assert len(problems) == 1


def test__checkpoints__of_another_run__not_used(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(9, _checkpoint(9, fingerprint="other"))
    problems: list[str] = []
    assert _load(store, problems) is None
    assert "other rows or settings" in problems[0]


def test__checkpoints__killed_while_writing__leftover_is_ignored_and_removed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, _checkpoint(1))
    leftover = tmp_path / f".step-{2:010d}-{'0' * 64}.safetensors.123"
    leftover.write_bytes(b"half")
    assert _load(store) == 1
    store.save(3, _checkpoint(3))
    assert not leftover.exists()


def test__checkpoints__disk_refuses_the_rename__error_and_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, _checkpoint(1))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        store.save(2, _checkpoint(2))
    assert len(_files(tmp_path)) == 1
    assert _load(store) == 1


def test__flatten__tensors_change_later__copies_do_not() -> None:
    weight = torch.zeros(3)
    kept = flatten("module", {"a/b": weight})
    weight += 1
    assert unflatten("module", kept)["a/b"].tolist() == [0.0, 0.0, 0.0]
