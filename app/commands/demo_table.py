"""A made-up table of customers for the demo: deterministic, nobody's data, with structure worth finding.

Behind the columns stand three hidden traits of a customer (engagement, wealth, thrift) and a segment; no column
shows one of them plainly, many show a little of it, and the products a customer bought show much of it to
whoever knows who else buys them. An encoder that learns how the columns follow from each other recovers the
traits without labels, and the outcomes depend on the traits: that is why a few hundred labels go further with
it. Built in besides: missing values that mean something, a rare class, a skewed amount, a code with leading
zeros, a constant column, and a column that is only filled in after the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

KEY = "customer_id"
OUTCOMES = ("churned", "next_plan", "cancel_reason")
"""Known only afterwards. `cancel_reason` gives `churned` away: with the role `target` it never becomes an input."""

_REGIONS = ("north", "coast", "hills", "capital", "lakes", "border", "islands", "plain")
_SEGMENTS = 5


@dataclass(frozen=True)
class DemoTable:
    """`frame` is what gets registered; `spend` holds the amounts that arrive later as labels by key."""

    frame: pl.DataFrame
    spend: pl.DataFrame  # columns key, value


@dataclass(frozen=True)
class _Traits:
    """Standard normal, one entry per customer; `segment` is 0 … 4."""

    segment: NDArray[np.int64]
    engagement: Floats
    wealth: Floats
    thrift: Floats


def make_table(num_rows: int = 20_000, seed: int = 20) -> DemoTable:
    """The same rows for the same arguments, on every machine."""
    random = np.random.Generator(np.random.PCG64(seed))
    traits = _traits(random, num_rows)
    columns = _who(random, traits) | _what_they_do(random, traits)
    columns |= _outcomes(random, traits, columns)
    keys = [f"C{number:06d}" for number in range(1, num_rows + 1)]
    frame = pl.DataFrame({KEY: keys} | columns)
    return DemoTable(
        frame=frame, spend=pl.DataFrame({"key": keys, "value": _spend_next_year(random, traits)})
    )


def _traits(random: np.random.Generator, num_rows: int) -> _Traits:
    segment = random.choice(_SEGMENTS, size=num_rows, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    centre = np.array(
        [[0.6, -0.4, 0.4], [-0.5, 0.2, 0.3], [0.3, 0.8, -0.7], [-0.8, -0.6, 0.7], [0.8, 0.3, -0.5]]
    )
    traits = centre[segment] + 0.8 * random.standard_normal((num_rows, 3))
    return _Traits(segment, traits[:, 0], traits[:, 1], traits[:, 2])


def _who(random: np.random.Generator, traits: _Traits) -> dict[str, Any]:
    """What is known of a customer from the start."""
    n = len(traits.segment)
    region = (traits.segment * 2 + random.choice(4, size=n, p=[0.5, 0.25, 0.15, 0.1])) % len(_REGIONS)
    # Neighbourhoods of a region differ in wealth: the code says something, but only to who has seen many rows.
    street = np.clip((traits.wealth + 0.7 * random.standard_normal(n)) * 7 + 15, 0, 29).astype(int) * 11 % 30
    age = np.clip(
        44 + 5 * traits.wealth - 4 * traits.engagement + 10 * random.standard_normal(n), 18, 92
    ).astype(int)
    device = _choice(
        random, ("android", "ios", "desktop"), [-0.3 * traits.wealth, 0.8 * traits.wealth, 0.04 * (age - 44)]
    )
    joined = np.minimum(random.exponential(900, n), 3_600).astype(int)
    return {
        "joined_on": [date(2025, 12, 31) - timedelta(days=int(days)) for days in joined],
        "country": ["DE"] * n,
        "region": [_REGIONS[number] for number in region],
        "postcode": [f"{number:05d}" for number in 1_067 + 997 * region + 13 * street],
        "age": age,
        "household": np.clip(random.poisson(1.4 + 0.5 * (traits.segment == 1), n) + 1, 1, 7),
        "device": _with_gaps(device, random.random(n) < 0.05),
        "channel": _choice(
            random,
            ("web", "shop", "partner", "phone"),
            [
                0.5 * traits.engagement,
                0.4 - 0.03 * (44 - age),
                0.6 * traits.thrift,
                -0.5 - 0.5 * traits.engagement,
            ],
        ),
        "payment": _choice(
            random,
            ("card", "wallet", "invoice"),
            [0.5 * traits.wealth, -0.04 * (age - 44), 0.5 * traits.thrift],
        ),
        "first_product": _product(random, traits, noise=0.6),
    }


def _what_they_do(random: np.random.Generator, traits: _Traits) -> dict[str, Any]:
    """What a customer did in the last year."""
    n = len(traits.segment)
    orders = random.poisson(np.exp(1.2 + 0.4 * traits.engagement + 0.3 * random.standard_normal(n)))
    basket = np.exp(3.4 + 0.4 * traits.wealth - 0.25 * traits.thrift + 0.5 * random.standard_normal(n))
    idle_days = np.minimum(random.exponential(np.exp(3.6 - 0.5 * traits.engagement)), 365).round()
    visits = random.poisson(
        np.exp(2.2 + 0.35 * traits.engagement + 0.25 * traits.thrift + 0.3 * random.standard_normal(n))
    )
    contacts = random.poisson(np.exp(-0.6 + 0.45 * traits.thrift - 0.2 * traits.engagement))
    satisfaction = np.clip(
        np.round(3.6 + 0.5 * traits.engagement - 0.35 * contacts + 0.7 * random.standard_normal(n)), 1, 5
    )
    silent = random.random(n) < 1 / (
        1 + np.exp(0.2 + 1.1 * traits.engagement)
    )  # who does not care does not answer
    discount = 1 / (1 + np.exp(1.2 - 0.7 * traits.thrift - 0.8 * random.standard_normal(n)))
    return {
        "orders_12m": orders,
        "basket": basket.round(2),
        "spend_12m": (orders * basket * np.exp(0.2 * random.standard_normal(n))).round(2),
        "days_idle": _with_gaps(idle_days.astype(int).tolist(), orders == 0),
        "visits_12m": visits,
        "discount_share": discount.round(3),
        "contacts_12m": contacts,
        "satisfaction": _with_gaps(satisfaction.astype(int).tolist(), silent),
        "newsletter": random.random(n)
        < 1 / (1 + np.exp(-0.2 - 0.8 * traits.engagement - 0.3 * traits.thrift)),
        "last_product": _with_gaps(_product(random, traits, noise=0.45), orders == 0),
        "best_product": _with_gaps(_product(random, traits, noise=0.45), orders < 2),
    }


def _product(random: np.random.Generator, traits: _Traits, noise: float) -> list[str]:
    """One of 120 products, whose numbers say nothing and whose buyers are alike.

    A few hundred labels hold two or three buyers of each; all the rows together tell who buys what.
    """
    steps = [
        np.digitize(trait + noise * random.standard_normal(len(trait)), edges)
        for trait, edges in zip(
            (traits.engagement, traits.wealth, traits.thrift),
            (np.linspace(-1.3, 1.3, 4), np.linspace(-1.3, 1.3, 5), np.linspace(-1.0, 1.0, 3)),
            strict=True,
        )
    ]
    shelf = (steps[0] * 6 + steps[1]) * 4 + steps[2]  # 0 … 119
    return [f"p{number:03d}" for number in shelf * 47 % 120]


def _outcomes(random: np.random.Generator, traits: _Traits, columns: dict[str, Any]) -> dict[str, Any]:
    """What happened in the year after: leaving (about one in eight), and the plan they took (one is rare)."""
    n = len(traits.segment)
    tension = traits.thrift * (traits.engagement < 0)  # thrift matters to those who care little
    logit = -2.7 - 1.15 * traits.engagement + 0.9 * tension + 0.35 * np.minimum(columns["contacts_12m"], 4)
    churned = random.random(n) < 1 / (1 + np.exp(-logit))
    reasons = random.choice(
        ("price", "service", "moved away", "competitor"), size=n, p=[0.45, 0.3, 0.1, 0.15]
    )
    plan = _choice(
        random,
        ("basic", "plus", "family", "business"),
        [
            0.8 + 0.9 * traits.thrift - 0.4 * traits.wealth,
            0.3 + 0.8 * traits.wealth + 0.6 * traits.engagement,
            -0.5 + 0.7 * (np.asarray(columns["household"]) - 2) + 0.5 * (traits.segment == 1),
            -2.9 + 1.3 * traits.wealth + 1.2 * (traits.segment == 4),
        ],
    )
    return {
        "churned": np.where(churned, "yes", "no").tolist(),
        "next_plan": plan,
        "cancel_reason": _with_gaps(reasons.tolist(), ~churned),
    }


def _spend_next_year(random: np.random.Generator, traits: _Traits) -> Floats:
    """A skewed amount: few customers make most of it."""
    log_amount = 4.6 + 0.7 * traits.wealth + 0.5 * traits.engagement - 0.2 * traits.thrift
    return np.asarray(np.exp(log_amount + 0.35 * random.standard_normal(len(traits.segment))).round(2))


def _choice(random: np.random.Generator, values: tuple[str, ...], logits: list[Any]) -> list[str]:
    """One of `values` per row, by softmax of the logits (the largest of logit plus Gumbel noise)."""
    scores = np.stack([np.asarray(logit, dtype=np.float64) for logit in logits], axis=1)
    return [values[position] for position in (scores + random.gumbel(size=scores.shape)).argmax(axis=1)]


def _with_gaps(values: list[Any], missing: NDArray[np.bool_]) -> list[Any]:
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]
