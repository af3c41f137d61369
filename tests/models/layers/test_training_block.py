"""The form that blocks take in training gives what the plain one gives, with the same gradients, however rows are grouped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models.layers import blocks, training_attention
from models.layers.attention import Attention
from models.layers.blocks import LatentAttentionBlock, SelfAttentionBlock

Grouping = tuple[int, int]  # bytes of a group, bytes kept

GROUPINGS: dict[str, Grouping] = {
    "one group": (1 << 22, 1 << 27),
    "several groups, kept": (3_000, 1 << 27),
    "several groups, computed again": (3_000, 0),
}


def _filled(module: nn.Module) -> nn.Module:
    """Every weight and bias away from zero and one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return module


def _normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def _gradients(
    module: nn.Module, inputs: list[torch.Tensor], run: Callable[..., torch.Tensor]
) -> list[torch.Tensor]:
    """Of the output's weighted sum, by inputs and parameters; the output first."""
    leaves = [*(tensor.requires_grad_() for tensor in inputs), *module.parameters()]
    output = run(*inputs)
    weight = _normal(*output.shape)
    return [output.detach(), *torch.autograd.grad((output * weight).sum(), leaves)]


@pytest.fixture(params=GROUPINGS)
def _grouped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    group_bytes, kept_bytes = GROUPINGS[request.param]
    monkeypatch.setattr(training_attention, "GROUP_BYTES", group_bytes)
    monkeypatch.setattr(training_attention, "KEPT_BYTES", kept_bytes)


def _plainly(
    module: nn.Module, inputs: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> list[torch.Tensor]:
    with monkeypatch.context() as patched:
        _take_the_plain_form(patched)
        return _gradients(module, inputs, module)


def _take_the_plain_form(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(training_attention, "is_training_here", lambda _: False)
    patched.setattr(blocks, "is_training_here", lambda _: False)


@pytest.mark.usefixtures("_grouped")
@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test__self_attention_block__in_training__same_output_and_gradients(
    num_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = _filled(SelfAttentionBlock(16, num_heads, generator=torch.Generator().manual_seed(0)))
    expected = _plainly(block, [_normal(9, 7, 16)], monkeypatch)
    found = _gradients(block, [_normal(9, 7, 16)], block)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


@pytest.mark.usefixtures("_grouped")
@pytest.mark.parametrize("num_heads", [1, 4])
def test__attention__to_another_context__same_output_and_gradients(
    num_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = _filled(Attention(16, num_heads, generator=torch.Generator().manual_seed(0)))
    expected = _plainly(layer, [_normal(9, 7, 16), _normal(9, 3, 16)], monkeypatch)
    found = _gradients(layer, [_normal(9, 7, 16), _normal(9, 3, 16)], layer)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


def test__latent_attention_block__in_training__same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    block = _filled(LatentAttentionBlock(16, 2, generator=torch.Generator().manual_seed(0)))

    def run(tokens: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return torch.cat(block(tokens, latents), dim=1)

    inputs = [_normal(5, 9, 16), _normal(5, 3, 16)]
    found = _gradients(block, inputs, run)
    _take_the_plain_form(monkeypatch)
    expected = _gradients(block, inputs, run)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


def test__self_attention_block__huge_scores__finite_and_the_largest_wins() -> None:
    block = SelfAttentionBlock(8, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        block.attention.query.weight.mul_(1e4)
    found = _gradients(block, [_normal(4, 5, 8)], block)
    assert all(torch.isfinite(tensor).all() for tensor in found)


@pytest.mark.parametrize("num_rows", [0, 1])
def test__self_attention_block__hardly_any_rows__works(num_rows: int) -> None:
    block = SelfAttentionBlock(8, 2, generator=torch.Generator().manual_seed(0))
    output, dtokens, *_ = _gradients(block, [_normal(num_rows, 3, 8)], block)
    assert output.shape == dtokens.shape == (num_rows, 3, 8)
    assert torch.isfinite(output).all()


def test__self_attention_block__gradient_asked_for_twice__refused() -> None:
    block = SelfAttentionBlock(8, 2, generator=torch.Generator().manual_seed(0))
    loss = block(_normal(4, 5, 8)).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="taken before"):
        loss.backward()


@pytest.mark.parametrize("num_threads", [1, 2])
def test__self_attention_block__same_rows_again__same_bits(num_threads: int) -> None:
    block = _filled(SelfAttentionBlock(16, 4, generator=torch.Generator().manual_seed(0)))
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        first, second = (_gradients(block, [_normal(300, 17, 16)], block) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
