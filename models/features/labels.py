"""Keys and labels: canonical text of a key, the task a set of labels asks for, labels as numbers to fit.

Classes keep their JSON type: labels `0` and `1` give classes `[0, 1]`, `"0"` and `"1"` give `["0", "1"]`. A
binary target's positive class stands last.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from models.errors import LabelError
from models.features.schema import JsonScalar, StorageType, Task

MAX_CLASSES = 500
MAX_KEY_CHARS = 1_000
MAX_MAGNITUDE = 1e30
"""Of a regression label: heads are float32, and metrics square; beyond this both become infinite."""
_MAX_INFERRED_INTEGER_CLASSES = 10
_MIN_LABELS_PER_INTEGER_CLASS = 5
_POSITIVES = frozenset({"yes", "y", "true", "t", "positive", "pos", "1"})
_NEGATIVES = frozenset({"no", "n", "false", "f", "negative", "neg", "0"})

Labels = Sequence[JsonScalar | None] | pl.Series


class InferredTask(NamedTuple):
    task: Task
    classes: tuple[JsonScalar, ...] | None
    warnings: tuple[str, ...]


def canonical_key(value: str | int) -> str:
    """The text under which a row is known: an integer's digits, a text as it is.

    Raises: LabelError invalid_key (booleans, floats, empty or over-long text).
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise LabelError(
            f"A key is text or an integer, received {_type_word(value)}. Send it as text, exactly as in the table.",
            code="invalid_key",
        )
    text = str(value)
    if not text or len(text) > MAX_KEY_CHARS:
        raise LabelError(
            f"A key has 1 to {MAX_KEY_CHARS:,} characters, received {len(text):,}.", code="invalid_key"
        )
    return text


def composite_key(parts: Sequence[str | int]) -> str:
    """The key of a table with several key columns: their texts in column order joined by `|`, with `\\` and `|`
    inside a part escaped by `\\`. One part is itself."""
    texts = [canonical_key(part) for part in parts]
    if len(texts) == 1:
        return texts[0]
    return "|".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in texts)


def infer_task(
    values: Labels,
    storage_type: StorageType | None = None,
    *,
    task: Task | None = None,
    positive: JsonScalar | None = None,
    known: Sequence[JsonScalar] = (),
    max_classes: int = MAX_CLASSES,
) -> InferredTask:
    """What to predict. `values`: labels, nulls passed over; `storage_type`: of the column they come from, None for
    JSON labels; `task` and `positive`: what the caller says, else inferred; `known`: classes that stay, with or without
    labels.

    Text and booleans are classes. Numbers are a regression, except two distinct whole ones (binary) and at most
    ten distinct integers with at least five labels each on average (multiclass, with a warning).

    Raises: LabelError all_null, mixed_types, one_class, too_many_classes, unsupported_label_type, not_finite,
    value_out_of_range, unknown_positive, task_mismatch.
    """
    if storage_type in ("date", "datetime"):
        raise LabelError(
            f"A {storage_type} cannot be predicted. Make it a number (days until …) or classes.",
            code="unsupported_label_type",
        )
    counts = _counts(values, known)
    kind = _common_type(counts)
    inferred, warnings = _inferred_task(counts, kind)
    chosen = task or inferred
    if chosen is Task.REGRESSION:
        return InferredTask(Task.REGRESSION, None, _checked_regression(counts, kind, positive))
    if task is not None:
        warnings = []
    return _classification(
        counts, kind, chosen, warnings, positive=positive, is_stated=task is not None, cap=max_classes
    )


def encode_labels(values: Labels, task: Task, classes: Sequence[JsonScalar] | None) -> np.ndarray:
    """int64 [N] class indices with -1 for null, or float64 [N] with NaN for null.

    Raises: LabelError unknown_class (counted), mixed_types, not_finite, value_out_of_range.
    """
    cells = values.to_list() if isinstance(values, pl.Series) else values
    if task is Task.REGRESSION:
        return _encode_numbers(cells)
    index: dict[tuple[bool, JsonScalar], int] = {}
    for position, label in enumerate(classes or ()):
        index[isinstance(label, bool), label] = position
    encoded = np.fromiter(
        (-1 if cell is None else index.get((isinstance(cell, bool), cell), -2) for cell in cells),
        dtype=np.int64, count=len(cells),
    )  # fmt: skip
    if (num_unknown := int((encoded == -2).sum())) > 0:
        raise LabelError(
            f"{num_unknown:,} labels are none of the target's {len(classes or ())} classes (type and spelling count), "
            f"the first at position {int(np.argmax(encoded == -2))}. Correct them, or make a new target.",
            code="unknown_class", num_unknown=num_unknown,
        )  # fmt: skip
    return encoded


def _encode_numbers(cells: Sequence[JsonScalar | None]) -> np.ndarray:
    for position, cell in enumerate(cells):
        if cell is not None and (isinstance(cell, bool) or not isinstance(cell, int | float)):
            raise LabelError(
                f"A regression label is a number, received {_type_word(cell)} at position {position}.",
                code="mixed_types",
            )
    try:
        numbers = np.array([math.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
    except OverflowError:
        raise out_of_range() from None
    num_lost = int((~np.isfinite(numbers)).sum()) - sum(cell is None for cell in cells)
    if num_lost:
        raise LabelError(
            f"{num_lost:,} labels are NaN or infinite. Send null to leave a label out.", code="not_finite"
        )
    if len(numbers) and float(np.nan_to_num(np.abs(numbers)).max()) > MAX_MAGNITUDE:
        raise out_of_range()
    return numbers


def out_of_range() -> LabelError:
    return LabelError(
        f"A regression label goes beyond ±{MAX_MAGNITUDE:.0e}; send the labels in a larger unit.",
        code="value_out_of_range",
    )


def _counts(values: Labels, known: Sequence[JsonScalar] = ()) -> Counter[tuple[str, JsonScalar]]:
    """(type word, value) → count, that of a `known` value from 0; the type keeps `True` apart from `1` and `1.0`."""
    counts = Counter({(_type_word(value), value): 0 for value in known})
    if isinstance(values, pl.Series):
        table = values.drop_nulls().value_counts(name="num_labels").rows()
        counts.update({(_type_word(value), value): count for value, count in table})
    else:
        counts.update((_type_word(value), value) for value in values if value is not None)
    if not counts:
        raise LabelError("All labels are null. At least two different ones are needed.", code="all_null")
    return counts


def _common_type(counts: Counter[tuple[str, JsonScalar]]) -> str:
    words = {word for word, _ in counts}
    if words == {"integer", "float"}:
        return "float"
    if len(words) > 1:
        raise LabelError(
            f"Labels of one target have one type, received {', '.join(sorted(words))}. Send all as text, all as "
            "numbers, or all as true or false.",
            code="mixed_types",
        )
    word = words.pop()
    if word not in ("text", "boolean", "integer", "float"):
        raise LabelError(
            f"A label is text, a number or a boolean, received {word}.", code="unsupported_label_type"
        )
    if word == "float" and any(isinstance(value, float) and not math.isfinite(value) for _, value in counts):
        raise LabelError("A label is NaN or infinite. Send null to leave a label out.", code="not_finite")
    return word


def _inferred_task(counts: Counter[tuple[str, JsonScalar]], kind: str) -> tuple[Task, list[str]]:
    num_classes = len({value for _, value in counts})
    if kind in ("text", "boolean"):
        return (Task.BINARY if num_classes <= 2 else Task.MULTICLASS), []
    if num_classes <= 2 and all(isinstance(value, int) or float(value).is_integer() for _, value in counts):
        return Task.BINARY, []
    few = num_classes <= _MAX_INFERRED_INTEGER_CLASSES
    if kind == "integer" and few and counts.total() >= _MIN_LABELS_PER_INTEGER_CLASS * num_classes:
        note = f'{num_classes} different integers were taken for classes. If they are amounts, say {{"task": "regression"}}.'
        return Task.MULTICLASS, [note]
    return Task.REGRESSION, []


def _checked_regression(
    counts: Counter[tuple[str, JsonScalar]], kind: str, positive: JsonScalar | None
) -> tuple[str, ...]:
    if kind in ("text", "boolean"):
        raise LabelError(f"A regression needs numbers, received {kind} labels.", code="task_mismatch")
    if positive is not None:
        raise LabelError("A regression has no positive class. Leave `positive` out.", code="task_mismatch")
    numbers = [value for _, value in counts if isinstance(value, int | float)]
    if any(abs(number) > MAX_MAGNITUDE for number in numbers):
        raise out_of_range()
    if len({float(number) for number in numbers}) == 1:
        rounded = " once they are 64-bit floats" if len(numbers) > 1 and len(set(numbers)) > 1 else ""
        raise LabelError(f"All labels are equal{rounded}, so there is nothing to learn.", code="one_class")
    return ()


def _classification(
    counts: Counter[tuple[str, JsonScalar]],
    kind: str,
    task: Task,
    warnings: list[str],
    *,
    positive: JsonScalar | None,
    is_stated: bool,
    cap: int,
) -> InferredTask:
    merged: Counter[JsonScalar] = Counter()
    for (_, value), count in counts.items():
        merged[value] += count
    if len(merged) == 1:
        raise LabelError("All labels are of one class; at least two classes are needed.", code="one_class")
    if len(merged) > cap:
        raise LabelError(
            f"A target has at most {cap} classes; these labels have {len(merged):,}. Group rare ones, or predict a "
            "number.",
            code="too_many_classes", num_classes=len(merged),
        )  # fmt: skip
    if is_stated and task is Task.BINARY and len(merged) != 2:  # a multiclass target may gain its third later
        raise LabelError(
            f"The task is {task.value}, but the labels have {len(merged)} classes.", code="task_mismatch"
        )
    if kind == "float" and is_stated:
        warnings.append("Numbers with fractions are used as classes, as asked.")
    classes: list[JsonScalar] = sorted(merged)  # one type, or numbers
    if task is Task.BINARY:
        classes, note = _positive_last(classes, merged, positive)
        warnings.extend(note)
    elif positive is not None:
        raise LabelError(
            "Only a binary target has a positive class. Leave `positive` out.", code="task_mismatch"
        )
    rare = sum(count < 2 for count in merged.values())
    if rare:
        warnings.append(f"{rare} of {len(merged)} classes have fewer than two labels.")
    return InferredTask(task, tuple(classes), tuple(warnings))


def _positive_last(
    classes: list[JsonScalar], counts: Counter[JsonScalar], positive: JsonScalar | None
) -> tuple[list[JsonScalar], list[str]]:
    """What the caller says; else true, the larger number, yes over no; else the rarer class, with a warning."""
    if positive is not None:
        if not any(type(positive) is type(label) and positive == label for label in classes):
            raise LabelError(
                f"`positive` ({_type_word(positive)}) is none of the two classes; type and spelling count.",
                code="unknown_positive",
            )
        return sorted(classes, key=lambda label: label == positive), []
    first, second = classes
    if not isinstance(first, str):
        return classes, []
    spelled = [str(label).strip().lower() for label in classes]
    if spelled[0] in _POSITIVES and spelled[1] in _NEGATIVES:
        return [second, first], []
    if spelled[1] in _POSITIVES and spelled[0] in _NEGATIVES:
        return classes, []
    note = 'The rarer class was taken as the positive one; say {"positive": …} to choose.'
    return ([second, first] if counts[first] < counts[second] else classes), [note]


def _type_word(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    for kind, word in ((str, "text"), (int, "integer"), (float, "float")):
        if isinstance(value, kind):
            return word
    return "null" if value is None else type(value).__name__
