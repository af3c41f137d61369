"""Encoder bundles: everything predictions need of a pretrained encoder, as named files of safetensors and JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from models.encoders import Encoder, EncoderConfig
from models.encoders.column_guesses import ColumnGuesses
from models.encoders.row_features import LAYOUT_VERSION, RowFeatures
from models.encoders.tuning import with_weights
from models.errors import BundleError, EncoderError
from models.features.codec import Codec, Codes
from models.features.schema import TableSchema
from models.layers.column_outputs import ColumnOutputs

FORMAT_VERSION = 2  # format 1 had no derived columns and kept no outputs of objectives
READABLE_FORMATS = (1, 2)
MAX_REFERENCE_ROWS = 2_000

MANIFEST_FILE = "encoder.json"
WEIGHTS_FILE = "weights.safetensors"
REFERENCE_FILE = "reference.safetensors"
OBJECTIVES_FILE = "objectives.safetensors"  # optional: outputs of masked columns

_MASKED_COLUMNS = "masked_columns."

_CONFIG: TypeAdapter[EncoderConfig] = TypeAdapter(EncoderConfig)


class EncoderBundle:
    """An immutable encoder version: codec, architecture, weights, schema, report and a fixed unlabelled sample.

    `reference_codes` are at most 2,000 training rows; heads take the statistics that standardise features from them.
    `column_outputs`, where the encoder was pretrained with masked columns, guess hidden columns: see `column_guesses`.
    """

    def __init__(
        self,
        *,
        codec: Codec,
        config: EncoderConfig,
        encoder: Encoder,
        schema: TableSchema,
        report: Mapping[str, Any],
        reference_codes: Codes,
        column_outputs: ColumnOutputs | None = None,
        layout_version: int = LAYOUT_VERSION,
    ) -> None:
        self.codec = codec
        self.config = config
        self.encoder = encoder.freeze()
        self.schema = schema
        self.report = dict(report)
        self.reference_codes = reference_codes
        self.layout_version = layout_version
        self.row_features = RowFeatures(codec, self.encoder, layout_version)
        self.column_outputs = column_outputs
        self.column_guesses: ColumnGuesses | None = None
        if column_outputs is not None:
            column_outputs.eval().requires_grad_(False)
            self.column_guesses = ColumnGuesses(codec, self.encoder, column_outputs)

    @property
    def num_bytes(self) -> int:
        """Memory held by weights and reference rows, for cache budgets."""
        tensors = [*self.encoder.parameters(), *self.encoder.buffers()]
        tensors += [self.reference_codes.index, self.reference_codes.fraction]
        if self.column_outputs is not None:
            tensors += self.column_outputs.parameters()
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def row_features_with(self, weights: Mapping[str, torch.Tensor]) -> RowFeatures:
        """Row features as this encoder's architecture makes them with other weights, which are shared, not copied.

        Raises:
            BundleError: names or shapes are not the architecture's (code `head_does_not_fit`).
        """
        return RowFeatures(self.codec, with_weights(self.encoder, weights), self.layout_version)

    def to_files(self) -> dict[str, bytes]:
        """File name to content; equal bundles give equal bytes."""
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.encoder.state_dict().items()}
        reference = {
            "index": self.reference_codes.index.to(torch.int32).contiguous(),
            "fraction": self.reference_codes.fraction.contiguous(),
        }
        files = {WEIGHTS_FILE: save_tensors(weights), REFERENCE_FILE: save_tensors(reference)}
        if self.column_outputs is not None:
            outputs = self.column_outputs.state_dict(prefix=_MASKED_COLUMNS)
            files[OBJECTIVES_FILE] = save_tensors(
                {name: tensor.cpu().contiguous() for name, tensor in outputs.items()}
            )
        manifest = {
            "format": FORMAT_VERSION,
            "layout": self.layout_version,
            "config": self.config.model_dump(mode="json"),
            "codec": self.codec.model_dump(mode="json"),
            "schema": self.schema.model_dump(mode="json"),
            "report": self.report,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        }
        text = json.dumps(
            manifest, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        return {MANIFEST_FILE: text.encode(), **files}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> EncoderBundle:
        """The bundle that `to_files` wrote.

        Raises:
            BundleError: a file is missing, damaged or swapped, or the format is not readable by this program.
        """
        manifest = _read_manifest(files)
        for name in (WEIGHTS_FILE, REFERENCE_FILE):
            _verify(name, files, manifest)
        try:
            codec = Codec.model_validate(manifest["codec"])
            config = _CONFIG.validate_python(manifest["config"])
            schema = TableSchema.model_validate(manifest["schema"])
            encoder = config.build(codec, generator=torch.Generator())
            encoder.load_state_dict(load_tensors(files[WEIGHTS_FILE]))
            reference = _read_reference(files[REFERENCE_FILE], codec)
            outputs = _read_outputs(files, manifest, codec, encoder.d_model)
            return cls(
                codec=codec,
                config=config,
                encoder=encoder,
                schema=schema,
                report=manifest["report"],
                reference_codes=reference,
                column_outputs=outputs,
                layout_version=manifest["layout"],
            )
        except (
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
            ValidationError,
            SafetensorError,
            EncoderError,
        ) as error:
            raise BundleError(
                f"The encoder bundle does not fit together ({type(error).__name__}); restore it or pretrain again."
            ) from error


def _read_manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    if MANIFEST_FILE not in files:
        raise BundleError(f"An encoder bundle needs {MANIFEST_FILE}; received {len(files)} files without it.")
    try:
        manifest = json.loads(files[MANIFEST_FILE])
    except ValueError as error:
        raise BundleError(f"{MANIFEST_FILE} is not JSON; restore the bundle or pretrain again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") not in READABLE_FORMATS:
        received = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise BundleError(
            f"Encoder bundle format {received!r} is not readable; this program reads {READABLE_FORMATS}.",
            code="unknown_bundle_format",
        )
    return manifest


def _verify(name: str, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    if name not in files:
        raise BundleError(f"An encoder bundle needs {name}; it is not there. Restore it or pretrain again.")
    digests = manifest.get("sha256")
    expected = digests.get(name) if isinstance(digests, dict) else None
    if hashlib.sha256(files[name]).hexdigest() != expected:
        raise BundleError(
            f"{name} ({len(files[name])} bytes) is not the file the manifest lists; restore it or pretrain again."
        )


def _read_outputs(
    files: Mapping[str, bytes], manifest: Mapping[str, Any], codec: Codec, d_model: int
) -> ColumnOutputs | None:
    """The outputs of masked columns; None where the manifest lists none."""
    if OBJECTIVES_FILE not in manifest["sha256"]:
        return None
    _verify(OBJECTIVES_FILE, files, manifest)
    outputs = ColumnOutputs(codec, d_model, generator=torch.Generator())
    stored = load_tensors(files[OBJECTIVES_FILE])
    outputs.load_state_dict({name.removeprefix(_MASKED_COLUMNS): tensor for name, tensor in stored.items()})
    return outputs


def _read_reference(content: bytes, codec: Codec) -> Codes:
    tensors = load_tensors(content)
    index, fraction = tensors["index"], tensors["fraction"]
    if index.shape != fraction.shape or index.ndim != 2 or index.shape[1] != len(codec.columns):
        raise ValueError("reference rows do not have the codec's columns")
    upper = torch.cat([codec.offsets[1:], torch.tensor([codec.num_embeddings])])
    if bool(((index < codec.offsets) | (index >= upper)).any()):
        raise ValueError("reference rows point outside the packed table")
    return Codes(index, fraction, codec.names, codec.offsets, codec.source_of)
