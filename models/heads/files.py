"""The files of a head bundle: `head.json` (format, kind, words) and `head.safetensors` (numbers).

Floats of the JSON part survive exactly (shortest round-trip text), so save → load → predict is bitwise equal.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load, save

from models.errors import BundleError
from models.features.schema import JsonScalar, Task

HEADER_NAME = "head.json"
TENSORS_NAME = "head.safetensors"
FORMAT = "rootstock.head"
FORMAT_VERSION = 1
READABLE_VERSIONS = frozenset({1})
MAX_HEADER_BYTES = 16 << 20


def pack(kind: str, header: Mapping[str, object], tensors: Mapping[str, torch.Tensor]) -> dict[str, bytes]:
    """Files of a head of `kind`; tensors are stored contiguous."""
    words = {"format": FORMAT, "format_version": FORMAT_VERSION, "kind": kind, **header}
    text = json.dumps(words, ensure_ascii=False, allow_nan=False, indent=1)
    return {
        HEADER_NAME: text.encode(),
        TENSORS_NAME: save({name: tensor.contiguous() for name, tensor in tensors.items()}),
    }


def pack_with(
    kind: str,
    header: Mapping[str, object],
    tensors: Mapping[str, torch.Tensor],
    others: Mapping[str, bytes],
) -> dict[str, bytes]:
    """As `pack`, with files in formats of their own, whose digests go into `head.json`."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in others.items()}
    return {**pack(kind, {**header, "sha256": digests}, tensors), **others}


@dataclass(frozen=True, slots=True)
class HeadFiles:
    """The parsed files; every accessor raises BundleError for what is absent or of another type."""

    header: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    others: Mapping[str, bytes] = field(default_factory=dict)
    """Files besides the two that every head has."""

    @property
    def kind(self) -> str:
        return self.text("kind")

    @property
    def task(self) -> Task:
        try:
            return Task(self.text("task"))
        except ValueError as error:
            raise BundleError("the head has an unknown task; update Rootstock or fit it again") from error

    @property
    def classes(self) -> tuple[JsonScalar, ...] | None:
        classes = self.header.get("classes")
        if self.task is Task.REGRESSION:
            return None
        if not isinstance(classes, list) or not all(isinstance(x, str | int | float | bool) for x in classes):
            raise BundleError("the head's classes are not a list of scalars; fit it again")
        if len(classes) < 2 or (self.task is Task.BINARY and len(classes) != 2):
            raise BundleError(f"a {self.task} head cannot have {len(classes)} classes; fit it again")
        return tuple(classes)

    @property
    def num_outputs(self) -> int:
        """Scores per row: one per class of several, else one."""
        return len(self.classes or ()) if self.task is Task.MULTICLASS else 1

    @property
    def view(self) -> tuple[str, ...]:
        view = self.header.get("view")
        if (
            not isinstance(view, list)
            or not all(isinstance(name, str) for name in view)
            or view != sorted(view)
        ):
            raise BundleError("the head's view is not a sorted list of column names; fit it again")
        return tuple(view)

    def text(self, name: str) -> str:
        value = self.header.get(name)
        if not isinstance(value, str):
            raise BundleError(f"the head's {name} is not text but {type(value).__name__}; fit it again")
        return value

    def section(self, name: str) -> dict[str, object]:
        value = self.header.get(name)
        if not isinstance(value, dict):
            raise BundleError(f"the head's {name} is not an object but {type(value).__name__}; fit it again")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """`default` stands for a field that heads of before do not have."""
        value = self.header.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BundleError(f"the head's {name} is not a number but {type(value).__name__}; fit it again")
        return float(value)

    def integer(self, name: str) -> int:
        value = self.header.get(name)
        if type(value) is not int or value < 0:
            raise BundleError(f"the head's {name} is not a count but {type(value).__name__}; fit it again")
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        values = self.header.get(name)
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            raise BundleError(f"the head's {name} is not a list of numbers; fit it again")
        return tuple(float(value) for value in values)

    def linear_map(self, weight: str, bias: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Two tensors, weight [O, F] and bias [O], float32, one output for each that the head has."""
        found = self.tensor(weight, torch.float32, 2), self.tensor(bias, torch.float32, 1)
        if any(len(tensor) != self.num_outputs for tensor in found):
            raise BundleError(
                f"the head has {self.num_outputs} outputs, its {weight} {list(found[0].shape)} and {bias} "
                f"{list(found[1].shape)}; fit it again"
            )
        return found

    def file(self, name: str, max_bytes: int) -> bytes:
        """The content of another file of the bundle, which `head.json` has the digest of.

        Libraries that read their own formats may take the process down with a damaged file, so it is never shown to them.
        """
        content = self.others.get(name)
        if content is None:
            raise BundleError(f"the head bundle lacks {name}; fit it again")
        if len(content) > max_bytes:
            raise BundleError(f"{name} has {len(content)} bytes, more than {max_bytes}")
        if self.section("sha256").get(name) != hashlib.sha256(content).hexdigest():
            raise BundleError(f"{name} is not the file that the head was written with; fit it again")
        return content

    def tensor(self, name: str, dtype: torch.dtype, num_dimensions: int) -> torch.Tensor:
        tensor = self.tensors.get(name)
        if tensor is None or tensor.dtype != dtype or tensor.dim() != num_dimensions:
            found = "none" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise BundleError(
                f"the head's {name} must be {dtype} of {num_dimensions} dimensions; found {found}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise BundleError(f"the head's {name} has numbers that are not finite; fit it again")
        return tensor


def unpack(files: Mapping[str, bytes]) -> HeadFiles:
    """Parse and check the files of a head; what else there is, the head's kind may read.

    Raises:
        BundleError: a file is missing, damaged or of a format version that cannot be read.
    """
    missing = [name for name in (HEADER_NAME, TENSORS_NAME) if name not in files]
    if missing:
        raise BundleError(f"the head bundle lacks {', '.join(missing)}; it has {len(files)} files")
    if len(files[HEADER_NAME]) > MAX_HEADER_BYTES:
        raise BundleError(f"{HEADER_NAME} has {len(files[HEADER_NAME])} bytes, more than {MAX_HEADER_BYTES}")
    try:
        header = json.loads(
            files[HEADER_NAME], parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{HEADER_NAME} is not strict JSON") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BundleError(f"{HEADER_NAME} does not describe a head; is it another kind of bundle?")
    if header.get("format_version") not in READABLE_VERSIONS:
        raise BundleError(
            f"head format version {header.get('format_version')!r} cannot be read; this build reads "
            f"{sorted(READABLE_VERSIONS)}; update Rootstock",
            code="unknown_format_version",
        )
    try:
        tensors = load(files[TENSORS_NAME])
    except Exception as error:  # safetensors raises its own Rust type, not a public class
        raise BundleError(f"{TENSORS_NAME} is damaged ({type(error).__name__})") from error
    others = {name: content for name, content in files.items() if name not in (HEADER_NAME, TENSORS_NAME)}
    return HeadFiles(header, tensors, others)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)
