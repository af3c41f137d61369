"""IP addresses as version, scope and network blocks."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

import polars as pl

from models.features.casting import cast_or_null
from models.features.derived.base import BaseDerivation, Part, map_distinct
from models.features.schema import StorageType

_PARTS = ("version", "scope", "network_1", "network_2", "network_3")
_BLOCKS = {4: (8, 16, 24), 6: (32, 48, 64)}  # bits of the three networks; 64 is one subnet of version 6
_NOTHING: tuple[None, ...] = (None,) * len(_PARTS)


class IpAddressDerivation(BaseDerivation):
    """Version (4 or 6), scope (global, private, loopback …) and the networks of 8, 16 and 24 bits, or 32, 48 and 64 bits
    of version 6. Version 4 written inside version 6 (`::ffff:10.0.0.1`) counts as version 4."""

    kind: Literal["ip_address"] = "ip_address"

    @classmethod
    def fit(cls, series: pl.Series, storage_type: StorageType) -> Self:
        """As `BaseDerivation.fit`; there is nothing to fit."""
        return cls(source=series.name)

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(Part(name, "string", True) for name in _PARTS)

    def apply(self, series: pl.Series) -> list[pl.Series]:
        return map_distinct(cast_or_null(series, pl.String()), _describe, len(_PARTS))


def is_address(text: str) -> bool:
    """Whether the text is an address, blanks around it aside."""
    return _parse(text) is not None


def _describe(text: str) -> tuple[str | None, ...]:
    address = _parse(text)
    if address is None:
        return _NOTHING
    bits, number = address.max_prefixlen, int(address)
    kind = ipaddress.IPv4Address if address.version == 4 else ipaddress.IPv6Address
    networks = (f"{kind(number >> (bits - n) << (bits - n))}/{n}" for n in _BLOCKS[address.version])
    return (str(address.version), _scope(address), *networks)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _scope(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The narrowest word that fits; order matters: loopback and link-local addresses are private too."""
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link_local"
    if address.is_multicast:
        return "multicast"
    if address.is_private:
        return "private"
    return "reserved" if address.is_reserved else "global"
