from __future__ import annotations

import datetime as dt

import polars as pl

from models.features.moments import find_format, parse_format


def test__two_digit_years__of_births__are_not_put_into_the_future() -> None:
    births = pl.Series(["07/10/83", "05/25/69", "02/01/55", "12/31/68", "02/13/92"])
    found = find_format(births)
    assert found is not None
    years = parse_format(births, found).dt.year().to_list()
    assert years == [1983, 1969, 1955, 1968, 1992]


def test__two_digit_years__of_contracts_that_end_soon__stay_ahead() -> None:
    ends = pl.Series(["31-Jul-18", "01-Jan-31", "30-Jun-30"])
    found = find_format(ends)
    assert found is not None
    assert parse_format(ends, found).dt.year().to_list() == [2018, 2031, 2030]


def test__two_digit_years__format_kept__reads_a_later_row_alike() -> None:
    found = find_format(pl.Series(["07/13/68", "07/14/83"]))
    assert found is not None
    again = type(found).model_validate_json(found.model_dump_json())
    assert parse_format(pl.Series(["01/15/67"]), again).to_list() == [dt.datetime(1967, 1, 15)]
