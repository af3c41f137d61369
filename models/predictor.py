"""Predictions of many heads for the same rows: one row-feature pass per distinct view, one product per view.

Heads that read the encoder's guess of a hidden column have passes of their own, shared by all that leave the same
columns in view. Heads that read the columns themselves share one table of numbers per view. A head with an encoder of its
own costs a pass of its own.

The bitwise rule (DESIGN, section 5): what a head says about a row is the same alone and in any company of rows
and heads. Row features hold it by themselves; the product of the stacked heads holds it when rows and outputs
are padded to multiples of 16, because a smaller product takes other kernels with other summation orders.

Shape letters: `B` rows, `F` row features of a view, `O` outputs of all stacked products.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl
import torch

from models.bundle import EncoderBundle
from models.encoders.row_features import RowFeatures
from models.errors import BundleError
from models.features.codec import Codes
from models.features.column_values import ColumnValues
from models.fingerprint import encoder_fingerprint
from models.heads.prediction import (
    ColumnValuesPass,
    FittedHead,
    HeadPrediction,
    HiddenColumnPass,
    Inputs,
    Pass,
    RowFeaturesPass,
    TunedEncoderPass,
)
from models.layers.linear import PAD, padded_product

CHUNK_ROWS = 4_096  # bounds the memory of row features: 4,096 rows of 4,608 features are 72 MiB
MAX_STACKS = 64
MAX_TUNED = (
    64  # encoders of heads; their weights are the heads' own, so each keeps little more than its head does
)

View = tuple[str, ...]
_Place = tuple[int, int]  # position of a head among those asked for, and of a pass among its needs
_Found = dict[_Place, torch.Tensor]


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """One prediction per head, in the order asked for; `missing` and `unseen` count cells per input column."""

    predictions: list[HeadPrediction]
    missing: dict[str, int]
    unseen: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Stack:
    """The products of one view as one matrix: `weight` [O, F] and `bias` [O], O padded to a multiple of 16.

    `spans` has one (start, stop) per product, in the order of heads and their needs.
    """

    heads: tuple[FittedHead, ...]  # kept alive, so that no other head can take over the identity of a key
    weight: torch.Tensor
    bias: torch.Tensor
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Tuned:
    """Row features with the weights of one pass; `weight` [O, F] and `bias` [O], O padded to a multiple of 16."""

    need: TunedEncoderPass  # kept alive, so that no other pass can take over the identity of a key
    row_features: RowFeatures
    weight: torch.Tensor
    bias: torch.Tensor


class Predictor:
    """Applies heads to rows, for one encoder. Safe to share between threads.

    Raises (from `predict`):
        BundleError: a head belongs to another encoder, view or feature width (code `head_does_not_fit`).
        InputError: `coverage` is not strictly between 0 and 1.
    """

    def __init__(self, bundle: EncoderBundle) -> None:
        self.bundle = bundle
        self.fingerprint = encoder_fingerprint(bundle)
        self._stacks: OrderedDict[tuple[int, ...], _Stack] = OrderedDict()
        self._tuned: OrderedDict[int, _Tuned] = OrderedDict()
        self._lock = threading.Lock()

    def predict(
        self, frame: pl.DataFrame, heads: Sequence[FittedHead], *, coverage: float = 0.9
    ) -> PredictionBatch:
        """Predictions of every head for the `B` rows of `frame`; columns it lacks are missing values."""
        codes = self.bundle.codec.transform(frame)
        return PredictionBatch(
            self.predict_codes(codes, heads, coverage=coverage),
            codes.missing_counts(),
            codes.unseen_counts(),
        )

    def predict_codes(
        self,
        codes: Codes,
        heads: Sequence[FittedHead],
        *,
        coverage: float = 0.9,
        features: Mapping[View, torch.Tensor] | None = None,
    ) -> list[HeadPrediction]:
        """Predictions of every head for encoded rows; `features` are row features [B, F] of views where known already."""
        for head in heads:
            self._check_encoder(head)
        found: _Found = {}
        found |= self._guesses(codes, heads)
        found |= self._products(codes, heads, features or {})
        found |= self._column_values(codes, heads)
        found |= self._own_products(codes, heads)
        inputs: list[Inputs] = [
            tuple(found[position, slot] for slot in range(len(head.needs)))
            for position, head in enumerate(heads)
        ]
        return [head.finish(given, coverage) for head, given in zip(heads, inputs, strict=True)]

    @torch.inference_mode()
    def _guesses(self, codes: Codes, heads: Sequence[FittedHead]) -> _Found:
        """A column is guessed once for all heads that see the same others."""
        by_context: dict[View, dict[str, list[_Place]]] = {}
        for place, head, need in _passes(heads):
            if isinstance(need, HiddenColumnPass):
                context = tuple(name for name in head.view if name != need.column)
                by_context.setdefault(context, {}).setdefault(need.column, []).append(place)
        found: _Found = {}
        for context, columns in by_context.items():
            guesses = self.bundle.column_guesses
            if guesses is None or not columns.keys() <= set(self.bundle.codec.names):
                raise BundleError(
                    "a head reads a guess that its encoder does not make; load the encoder it is pinned to",
                    code="head_does_not_fit",
                )
            logits = guesses.compute(codes, context, tuple(columns))
            for places, part in zip(columns.values(), logits, strict=True):
                found |= dict.fromkeys(places, part)
        return found

    def _column_values(self, codes: Codes, heads: Sequence[FittedHead]) -> _Found:
        """One table of numbers per view."""
        tables: dict[View, torch.Tensor] = {}
        found: _Found = {}
        for place, head, need in _passes(heads):
            if isinstance(need, ColumnValuesPass):
                if head.view not in tables:
                    tables[head.view] = ColumnValues.of(codes, self.bundle.codec, head.view).values
                found[place] = tables[head.view]
        return found

    def _products(
        self, codes: Codes, heads: Sequence[FittedHead], features: Mapping[View, torch.Tensor]
    ) -> _Found:
        """One pass and one product per view."""
        places: dict[View, list[_Place]] = {}
        for place, head, need in _passes(heads):
            if isinstance(need, RowFeaturesPass):
                places.setdefault(head.view, []).append(place)
        found: _Found = {}
        for view, wanted in places.items():
            distinct = [position for position, _ in groupby(wanted, key=lambda place: place[0])]
            stack = self._stack(view, tuple(heads[position] for position in distinct))
            logits = self._logits(codes, view, stack, features.get(view))
            for place, (start, stop) in zip(wanted, stack.spans, strict=True):
                found[place] = logits[:, start:stop]
        return found

    @torch.inference_mode()
    def _own_products(self, codes: Codes, heads: Sequence[FittedHead]) -> _Found:
        """A pass of its own for every head that brings an encoder."""
        found: _Found = {}
        for place, head, need in _passes(heads):
            if isinstance(need, TunedEncoderPass):
                tuned = self._tuned_of(head, need)
                logits = torch.empty(len(codes), len(need.bias))
                for start in range(0, len(codes), CHUNK_ROWS):
                    rows = slice(start, min(start + CHUNK_ROWS, len(codes)))
                    part = tuned.row_features.compute(codes.select_rows(rows), head.view)
                    logits[rows] = padded_product(part, tuned.weight, tuned.bias)[:, : len(need.bias)]
                found[place] = logits
        return found

    def _tuned_of(self, head: FittedHead, need: TunedEncoderPass) -> _Tuned:
        key = id(need)
        with self._lock:
            tuned = self._tuned.get(key)
            if tuned is not None:
                self._tuned.move_to_end(key)
                return tuned
        row_features = self.bundle.row_features_with(need.encoder)
        _check_width(head, need, row_features.width(head.view))
        weight, bias, _ = _stacked([need])
        tuned = _Tuned(need, row_features, weight, bias)
        with self._lock:
            self._tuned[key] = tuned
            while len(self._tuned) > MAX_TUNED:
                self._tuned.popitem(last=False)
        return tuned

    @torch.inference_mode()
    def _logits(self, codes: Codes, view: View, stack: _Stack, features: torch.Tensor | None) -> torch.Tensor:
        """Outputs [B, O] of the stacked products, chunk by chunk."""
        num_rows = len(codes)
        logits = torch.empty(num_rows, len(stack.bias))
        for start in range(0, num_rows, CHUNK_ROWS):
            rows = slice(start, min(start + CHUNK_ROWS, num_rows))
            part = (
                self.bundle.row_features.compute(codes.select_rows(rows), view)
                if features is None
                else features[rows]
            )
            logits[rows] = padded_product(part, stack.weight, stack.bias)
        return logits

    def _stack(self, view: View, heads: tuple[FittedHead, ...]) -> _Stack:
        key = tuple(map(id, heads))
        with self._lock:
            stack = self._stacks.get(key)
            if stack is not None:
                self._stacks.move_to_end(key)
                return stack
        stack = self._build(view, heads)
        with self._lock:
            self._stacks[key] = stack
            while len(self._stacks) > MAX_STACKS:
                self._stacks.popitem(last=False)
        return stack

    def _check_encoder(self, head: FittedHead) -> None:
        if head.encoder_fingerprint != self.fingerprint:
            raise BundleError(
                f"a {head.kind} head was fitted on another encoder; load the encoder it is pinned to",
                code="head_does_not_fit",
            )

    def _build(self, view: View, heads: tuple[FittedHead, ...]) -> _Stack:
        width = self.bundle.row_features.width(view)
        products = [need for _, _, need in _passes(heads) if isinstance(need, RowFeaturesPass)]
        for _, head, need in _passes(heads):
            if isinstance(need, RowFeaturesPass):
                _check_width(head, need, width)
        return _Stack(heads, *_stacked(products))


def _check_width(head: FittedHead, need: RowFeaturesPass | TunedEncoderPass, width: int) -> None:
    if need.weight.shape[1] != width:
        raise BundleError(
            f"a {head.kind} head expects {need.weight.shape[1]} row features, the encoder gives {width} for "
            f"its view of {len(head.view)} absent columns; fit the head again",
            code="head_does_not_fit",
        )


def _stacked(
    products: Sequence[RowFeaturesPass | TunedEncoderPass],
) -> tuple[torch.Tensor, torch.Tensor, tuple[tuple[int, int], ...]]:
    """Weight [O, F] and bias [O] of all of one width, O padded to a multiple of 16, and where each has its outputs."""
    num_outputs = sum(len(product.bias) for product in products)
    padded = -(-num_outputs // PAD) * PAD
    weight = torch.zeros(padded, products[0].weight.shape[1])
    bias = torch.zeros(padded)
    spans = []
    start = 0
    for product in products:
        stop = start + len(product.bias)
        weight[start:stop] = product.weight
        bias[start:stop] = product.bias
        spans.append((start, stop))
        start = stop
    return weight, bias, tuple(spans)


def _passes(
    heads: Sequence[FittedHead],
) -> Iterator[tuple[_Place, FittedHead, Pass]]:
    for position, head in enumerate(heads):
        for slot, need in enumerate(head.needs):
            yield (position, slot), head, need
