"""Encoder architectures. A new one is a file with a frozen config that builds it, and one line below."""

from __future__ import annotations

from models.encoders.base import Encoded, Encoder
from models.encoders.column_transformer import ColumnTransformerConfig

__all__ = ["DEFAULT", "ENCODERS", "ColumnTransformerConfig", "Encoded", "Encoder", "EncoderConfig"]

EncoderConfig = ColumnTransformerConfig
"""Any architecture's configuration; becomes a union discriminated by `kind` with the second architecture."""

ENCODERS: tuple[type[EncoderConfig], ...] = (ColumnTransformerConfig,)

DEFAULT: EncoderConfig = ColumnTransformerConfig()
