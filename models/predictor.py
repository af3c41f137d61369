"""Predictions of many heads for the same rows: one row-feature pass per distinct view, one product per view.

Heads that read the encoder's guess of a hidden column have passes of their own, shared by all that leave the same
columns in view.

The bitwise rule (DESIGN, section 5): what a head says about a row is the same alone and in any company of rows
and heads. Row features hold it by themselves; the product of the stacked heads holds it when rows and outputs
are padded to multiples of 16, because a smaller product takes other kernels with other summation orders.

Shape letters: `B` rows, `F` row features of a view, `O` outputs of all stacked heads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import torch

from models.bundle import EncoderBundle
from models.errors import BundleError
from models.features.codec import Codes
from models.heads.prediction import FittedHead, HeadPrediction, HiddenColumnPass, product_of
from models.layers.linear import PAD, padded_product
from models.training.fingerprint import encoder_fingerprint

CHUNK_ROWS = 4_096  # bounds the memory of row features: 4,096 rows of 4,608 features are 72 MiB
MAX_STACKS = 64


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """One prediction per head, in the order asked for; `missing` and `unseen` count cells per input column."""

    predictions: list[HeadPrediction]
    missing: dict[str, int]
    unseen: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Stack:
    """The heads of one view as one matrix: `weight` [O, F] and `bias` [O], O padded to a multiple of 16."""

    heads: tuple[FittedHead, ...]  # kept alive, so that no other head can take over the identity of a key
    weight: torch.Tensor
    bias: torch.Tensor
    spans: tuple[tuple[int, int], ...]


class Predictor:
    """Applies heads to rows, for one encoder. Safe to share between threads.

    Raises (from `predict`):
        BundleError: a head belongs to another encoder, view or feature width (code `head_does_not_fit`).
        InputError: `coverage` is not strictly between 0 and 1.
    """

    def __init__(self, bundle: EncoderBundle) -> None:
        self._bundle = bundle
        self._fingerprint = encoder_fingerprint(bundle)
        self._stacks: OrderedDict[tuple[int, ...], _Stack] = OrderedDict()
        self._lock = threading.Lock()

    def predict(
        self, frame: pl.DataFrame, heads: Sequence[FittedHead], *, coverage: float = 0.9
    ) -> PredictionBatch:
        """Predictions of every head for the `B` rows of `frame`; columns it lacks are missing values."""
        codes = self._bundle.codec.transform(frame)
        by_view: dict[tuple[str, ...], list[int]] = {}
        hiding: list[tuple[int, str]] = []
        for position, head in enumerate(heads):
            self._check_encoder(head)
            needs = head.needs
            if isinstance(needs, HiddenColumnPass):
                hiding.append((position, needs.column))
            else:
                by_view.setdefault(head.view, []).append(position)
        found: dict[int, HeadPrediction] = {}
        for position, logits in self._guesses(codes, heads, hiding).items():
            found[position] = heads[position].finish(logits, coverage)
        for view, positions in by_view.items():
            stack = self._stack(view, tuple(heads[position] for position in positions))
            logits = self._logits(codes, view, stack)
            for position, (start, stop) in zip(positions, stack.spans, strict=True):
                found[position] = heads[position].finish(logits[:, start:stop], coverage)
        return PredictionBatch(
            [found[position] for position in range(len(heads))], codes.missing_counts(), codes.unseen_counts()
        )

    @torch.inference_mode()
    def _guesses(
        self, codes: Codes, heads: Sequence[FittedHead], hiding: Sequence[tuple[int, str]]
    ) -> dict[int, torch.Tensor]:
        """Logits [B, O] of each head by position; a column is guessed once for all heads that see the same others."""
        by_context: dict[tuple[str, ...], dict[str, list[int]]] = {}
        for position, column in hiding:
            context = tuple(name for name in heads[position].view if name != column)
            by_context.setdefault(context, {}).setdefault(column, []).append(position)
        found: dict[int, torch.Tensor] = {}
        for context, columns in by_context.items():
            guesses = self._bundle.column_guesses
            if guesses is None or not columns.keys() <= set(self._bundle.codec.names):
                raise BundleError(
                    "a head reads a guess that its encoder does not make; load the encoder it is pinned to",
                    code="head_does_not_fit",
                )
            logits = guesses.compute(codes, context, tuple(columns))
            for positions, part in zip(columns.values(), logits, strict=True):
                found |= dict.fromkeys(positions, part)
        return found

    @torch.inference_mode()
    def _logits(self, codes: Codes, view: tuple[str, ...], stack: _Stack) -> torch.Tensor:
        """Logits [B, O] of the stacked heads, chunk by chunk."""
        num_rows = len(codes)
        logits = torch.empty(num_rows, len(stack.bias))
        for start in range(0, num_rows, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, num_rows)
            features = self._bundle.row_features.compute(codes.select_rows(slice(start, stop)), view)
            logits[start:stop] = padded_product(features, stack.weight, stack.bias)
        return logits

    def _stack(self, view: tuple[str, ...], heads: tuple[FittedHead, ...]) -> _Stack:
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
        if head.encoder_fingerprint != self._fingerprint:
            raise BundleError(
                f"a {head.kind} head was fitted on another encoder; load the encoder it is pinned to",
                code="head_does_not_fit",
            )

    def _build(self, view: tuple[str, ...], heads: tuple[FittedHead, ...]) -> _Stack:
        width = self._bundle.row_features.width(view)
        products = [product_of(head) for head in heads]
        for head, product in zip(heads, products, strict=True):
            if product.weight.shape[1] != width:
                raise BundleError(
                    f"a {head.kind} head expects {product.weight.shape[1]} row features, the encoder gives {width} for "
                    f"its view of {len(view)} absent columns; fit the head again",
                    code="head_does_not_fit",
                )
        num_outputs = sum(len(product.bias) for product in products)
        padded = -(-num_outputs // PAD) * PAD
        weight = torch.zeros(padded, width)
        bias = torch.zeros(padded)
        spans = []
        start = 0
        for product in products:
            stop = start + len(product.bias)
            weight[start:stop] = product.weight
            bias[start:stop] = product.bias
            spans.append((start, stop))
            start = stop
        return _Stack(heads, weight, bias, tuple(spans))
