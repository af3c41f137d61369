"""On a GPU a step's tensors are all there. No GPU is needed: fake tensors know their device and refuse to meet those of
another, and `meta` serves as the other device. What they do not show are products in bfloat16.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from models.encoders import ENCODERS, EncoderConfig, column_transformer, tab_transformer
from models.features.codec import Codec, Codes
from models.objectives import DEFAULT, OBJECTIVES, Objective, ObjectiveConfig, masked_columns
from models.objectives.corruption import Damage
from models.training.checkpoint import Checkpoint
from models.training.pretraining_plan import split_held_out
from models.training.pretraining_run import PretrainingRun
from tests.models.small_tables import TINY, plain_table

NUM_ROWS = 12
GPU = torch.device("meta")


def _move(module: nn.Module, mode: FakeTensorMode) -> None:
    """Parameters and buffers to a fake GPU."""
    for part in module.modules():
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else mode.from_tensor(buffer).to(GPU)
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(mode.from_tensor(parameter.detach()).to(GPU))


def _shown(codes: Codes, mode: FakeTensorMode, device: torch.device) -> Codes:
    index, fraction, offsets = (
        mode.from_tensor(tensor).to(device) for tensor in (codes.index, codes.fraction, codes.offsets)
    )
    return Codes(index, fraction, codes.names, offsets, codes.sources)


def _loss_on_gpu(
    config: type[EncoderConfig],
    objective_config: type[ObjectiveConfig],
    codes_device: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> list[torch.Tensor]:
    """The loss, and its gradients by the encoder's weights."""
    frame, schema = plain_table(4, 3, num_rows=NUM_ROWS)
    codec = Codec.fit(frame, schema)
    generator = torch.Generator().manual_seed(0)
    encoder = config().build(codec, generator=generator)
    objective: Objective = objective_config().build(codec, encoder, generator=generator)
    # What depends on drawn values, which fake tensors do not have.
    monkeypatch.setattr(Damage, "draw_present_columns", lambda *_, **__: [0, 1, 2, 4, 6])
    monkeypatch.setattr(masked_columns, "_most", lambda mask: len(mask))
    for encoder_module in (column_transformer, tab_transformer):
        monkeypatch.setattr(encoder_module, "count_before", lambda *_: 3)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        _move(encoder, mode)
        _move(objective, mode)
        codes = _shown(codec.transform(frame), mode, codes_device)
        loss = objective.loss(encoder, codes.index, codes.fraction, generator=generator)
        loss.backward()  # type: ignore[no-untyped-call]
        return [loss, *(p.grad for p in encoder.parameters() if p.grad is not None)]


@pytest.mark.parametrize("config", ENCODERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test__loss__everything_on_a_gpu__stays_there(
    config: type[EncoderConfig], objective: type[ObjectiveConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = _loss_on_gpu(config, objective, GPU, monkeypatch)
    assert len(tensors) > 20
    assert all(tensor.device == GPU for tensor in tensors)


def test__loss__codes_left_on_the_cpu__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail."""
    with pytest.raises(RuntimeError, match=r"meta.*cpu|cpu.*meta"):
        _loss_on_gpu(ENCODERS[0], OBJECTIVES[0], torch.device("cpu"), monkeypatch)


def _run_with_a_damage_generator(seed: int) -> PretrainingRun:
    frame, schema = plain_table(4, 3, num_rows=60)
    codec = Codec.fit(frame, schema)
    data = split_held_out(codec.transform(frame), seed=0)
    run = PretrainingRun(data, codec, TINY, DEFAULT, batch_rows=16, seed=0, device=torch.device("cpu"))
    run.damage_generator = torch.Generator().manual_seed(seed)
    run.evaluate()
    return run


def _losses(run: PretrainingRun) -> list[float]:
    losses = []
    for _ in range(6):
        run.train_step(20)
        losses.append(run.recent_loss)
    return losses


def test__checkpoint__damage_drawn_by_a_generator_of_its_own__goes_on_to_the_same_bits() -> None:
    run = _run_with_a_damage_generator(5)
    _losses(run)
    saved = run.export()
    expected = _losses(run)
    again, fresh = _run_with_a_damage_generator(6), _run_with_a_damage_generator(6)
    again.load(saved)
    assert _losses(again) == expected
    without = {name: tensor for name, tensor in saved.tensors.items() if name != "damage_generator"}
    fresh.load(Checkpoint(without, saved.state))
    assert _losses(fresh) != expected
