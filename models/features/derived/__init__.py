"""Derivations: kinds of columns that become several plain ones. A new one is a file and a line in each place below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.features.derived.base import BaseDerivation, Part
from models.features.derived.datetime import DatetimeDerivation
from models.features.derived.ip_address import IpAddressDerivation
from models.features.derived.postal_code import PostalCodeDerivation
from models.features.derived.text import TextDerivation
from models.features.schema import ColumnKind

__all__ = ["DERIVATIONS", "BaseDerivation", "Derivation", "Part"]

_AnyDerivation = DatetimeDerivation | IpAddressDerivation | PostalCodeDerivation | TextDerivation

Derivation = Annotated[_AnyDerivation, Field(discriminator="kind")]

DERIVATIONS: dict[ColumnKind, type[_AnyDerivation]] = {
    ColumnKind.DATETIME: DatetimeDerivation,
    ColumnKind.IP_ADDRESS: IpAddressDerivation,
    ColumnKind.POSTAL_CODE: PostalCodeDerivation,
    ColumnKind.TEXT: TextDerivation,
}
"""Per kind of column; kinds that are not here are encoded as they are, or not at all."""
