"""Masked columns: what is shown is not what is asked, losses are those of guessed cells only, draws repeat."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from models.features.codec import Codec, SpecialCode
from models.objectives import MaskedColumns, MaskedColumnsConfig
from models.objectives.corruption import MAX_UNKNOWN_RATE, Damage
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame, plain_table


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _damage(num_columns: int) -> Damage:
    frame, schema = plain_table(num_columns, 0, num_rows=8)
    return Damage(Codec.fit(frame, schema))


def test__masked_columns__guess__does_not_depend_on_the_hidden_column() -> None:
    frame = mixed_frame(40)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    encoder = TINY.build(codec, generator=_generator())
    objective = MaskedColumnsConfig().build(codec, encoder, generator=_generator())
    assert isinstance(objective, MaskedColumns)
    changed = frame.with_columns(colour=frame["colour"].reverse())
    first = objective.guess(encoder, codec.transform(frame), [0])[0]
    second = objective.guess(encoder, codec.transform(changed), [0])[0]
    assert torch.equal(first, second)
    torch.testing.assert_close(first.exp().sum(1), torch.ones(40))


def test__masked_columns__mask_rates__vary_per_row_inside_the_limits() -> None:
    codec = Codec.fit(mixed_frame(40), MIXED_SCHEMA)
    objective = MaskedColumns(
        codec, 8, MaskedColumnsConfig(min_rate=0.2, max_rate=0.6), generator=_generator()
    )
    share = torch.stack([objective.draw_mask(1000, generator=_generator(seed)).float() for seed in range(30)])
    assert abs(float(share.mean()) - 0.4) < 0.01
    # Rows of one draw share a rate, so counts vary more than with one rate for all cells.
    assert float(share.sum(2).var()) > 1.1 * 4 * 0.4 * 0.6


def test__masked_columns__loss_gradient__touches_every_weight_that_predictions_use() -> None:
    frame = mixed_frame(200)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    encoder = TINY.build(codec, generator=_generator())
    objective = MaskedColumnsConfig().build(codec, encoder, generator=_generator())
    codes = codec.transform(frame)
    generator = _generator(5)
    for _ in range(8):
        objective.loss(encoder, codes.index, codes.fraction, generator=generator).backward()  # type: ignore[no-untyped-call]
    for name, parameter in [*encoder.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
    # The rows for missing and unknown are trained in every column, also where the table has no such cell.
    table_gradient = encoder.get_submodule("values").weight.grad
    assert isinstance(table_gradient, torch.Tensor)
    for column, offset in zip(codec.columns, codec.offsets.tolist(), strict=True):
        assert float(table_gradient[offset + SpecialCode.MISSING].abs().sum()) > 0, column.name
        if column.kind == "categorical":
            assert float(table_gradient[offset + SpecialCode.UNKNOWN].abs().sum()) > 0, column.name


def test__damage__folded_rare_categories__are_shown_as_unknown_more_often() -> None:
    frame = mixed_frame(400)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    codes = codec.transform(frame)
    damage, generator = Damage(codec), _generator()
    shown = torch.cat([damage.fold(codes.index, codes.fraction, generator=generator)[0] for _ in range(50)])
    unknown = (shown == codes.offsets + int(SpecialCode.UNKNOWN)).float().mean(0)
    assert 0.01 < float(unknown[0]) < MAX_UNKNOWN_RATE
    assert float(unknown[2]) == 0.0
    assert int(shown.min()) >= 0
    assert int(shown.max()) < codec.num_embeddings


def test__damage__present_columns_many_draws__never_none_and_every_column_is_sometimes_absent() -> None:
    generator = _generator()
    damage = _damage(7)
    draws = [damage.draw_present_columns(generator=generator) for _ in range(300)]
    assert all(draw == sorted(set(draw)) and draw for draw in draws)
    assert {len(draw) for draw in draws} == {4, 5, 6, 7}
    assert set.intersection(*(set(draw) for draw in draws)) == set()
    assert _damage(1).draw_present_columns(generator=generator) == [0]


def test__damage__swapped_marked_cells__take_another_rows_value_of_the_same_column() -> None:
    index = torch.arange(12, dtype=torch.int32).view(4, 3)
    marked = torch.zeros(4, 3, dtype=torch.bool)
    marked[1, 2] = marked[3, 0] = True
    swapped, fraction = _damage(3).swap(index, index / 12, marked, generator=_generator())
    assert torch.equal(swapped[~marked], index[~marked])
    assert (swapped[marked] != index[marked]).all()
    assert (swapped % 3 == index % 3).all()
    torch.testing.assert_close(fraction, swapped / 12)


def test__damage__swapped_single_row__stays() -> None:
    index = torch.tensor([[1, 2]])
    assert torch.equal(_damage(2).swap(index, index / 4, index > 0, generator=_generator())[0], index)


@pytest.mark.parametrize(
    "options", [{"min_rate": 0.9, "max_rate": 0.2}, {"swap_share": 0.7, "keep_share": 0.6}]
)
def test__masked_columns_config__shares_that_do_not_fit__are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="received"):
        MaskedColumnsConfig.model_validate(options)
