"""Encoder architectures. A new one is a file with a frozen config that builds it, and one line below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator

from models.encoders.base import Encoded, Encoder
from models.encoders.column_transformer import ColumnTransformerConfig
from models.encoders.tab_transformer import TabTransformerConfig

__all__ = [
    "DEFAULT",
    "ENCODERS",
    "ColumnTransformerConfig",
    "Encoded",
    "Encoder",
    "EncoderConfig",
    "TabTransformerConfig",
]

EncoderConfig = Annotated[ColumnTransformerConfig | TabTransformerConfig, Discriminator("kind")]
"""Any architecture's configuration; validated by its `kind`."""

ENCODERS: tuple[type[ColumnTransformerConfig] | type[TabTransformerConfig], ...] = (
    ColumnTransformerConfig,
    TabTransformerConfig,
)

DEFAULT: EncoderConfig = ColumnTransformerConfig()
