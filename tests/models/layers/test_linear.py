"""Products of padded rows: a row's bits are the same alone and in any company, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models.layers.linear import MAX_SHARED_SUM, padded_product, unshared_sums


@pytest.fixture(params=[1, 2, 3, 4])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("num_outputs", [16, 112, 512])
@pytest.mark.parametrize("num_features", [64, MAX_SHARED_SUM, 1_000, 2_304, 4_608])
def test__padded_product__any_number_of_rows__bitwise_as_alone(
    num_threads: int, num_features: int, num_outputs: int
) -> None:
    generator = torch.Generator().manual_seed(num_threads)
    rows = torch.randn(1_000, num_features, generator=generator)
    weight = torch.randn(num_outputs, num_features, generator=generator)
    bias = torch.randn(num_outputs, generator=generator)
    alone = torch.cat([padded_product(rows[i : i + 1], weight, bias) for i in range(24)])
    for num_rows in (2, 17, 64, 100, 257, 384, 1_000):
        together = padded_product(rows[:num_rows], weight, bias)[:24]
        assert torch.equal(together, alone[: len(together)]), num_rows
    assert torch.get_num_threads() == num_threads


def test__unshared_sums__after_an_error__gives_the_threads_back(num_threads: int) -> None:
    def fail_inside() -> None:
        with unshared_sums(10_000):
            assert torch.get_num_threads() == 1
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert torch.get_num_threads() == num_threads
