"""Head kinds. A new kind is one file and one line in `HEADS` (its config) and in `READERS` (its files)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import Discriminator

from models.errors import BundleError
from models.heads.auto import AutoHeadConfig
from models.heads.blend_head import BlendHead
from models.heads.files import HeadFiles, unpack
from models.heads.forest import ForestHeadConfig
from models.heads.forest_head import ForestHead
from models.heads.full import FullHeadConfig
from models.heads.full_head import FullHead
from models.heads.gbdt import GbdtHeadConfig
from models.heads.gbdt_head import GbdtHead
from models.heads.linear import LinearHeadConfig
from models.heads.linear_head import LinearHead
from models.heads.prediction import FittedHead, HeadPrediction
from models.heads.zero_shot import ZeroShotHeadConfig
from models.heads.zero_shot_head import ZeroShotHead

HeadConfig = Annotated[
    LinearHeadConfig
    | AutoHeadConfig
    | ForestHeadConfig
    | GbdtHeadConfig
    | FullHeadConfig
    | ZeroShotHeadConfig,
    Discriminator("kind"),
]
"""What a client asks for; validated by its `kind`."""

HEADS: tuple[
    type[LinearHeadConfig]
    | type[AutoHeadConfig]
    | type[ForestHeadConfig]
    | type[GbdtHeadConfig]
    | type[FullHeadConfig]
    | type[ZeroShotHeadConfig],
    ...,
] = (
    LinearHeadConfig,
    AutoHeadConfig,
    ForestHeadConfig,
    GbdtHeadConfig,
    FullHeadConfig,
    ZeroShotHeadConfig,
)

DEFAULT_HEAD = AutoHeadConfig()

SLOW_LIBRARIES = ("lightgbm", "sklearn.ensemble", "treelite")
"""What heads of trees import when the first of them is read or predicts, for about a second together."""


def _read_blend(parts: HeadFiles) -> FittedHead:
    return BlendHead.from_parts(parts, load_head)


READERS: dict[str, Callable[[HeadFiles], FittedHead]] = {
    "blend": _read_blend,
    "forest": ForestHead.from_parts,
    "full": FullHead.from_parts,
    "gbdt": GbdtHead.from_parts,
    "linear": LinearHead.from_parts,
    "zero_shot": ZeroShotHead.from_parts,
}
"""How a stored head of each fitted kind is read (`auto` is resolved before anything is stored)."""


def load_head(files: Mapping[str, bytes]) -> FittedHead:
    """A fitted head from its bundle; other files in the bundle are ignored.

    Raises:
        BundleError: damaged, swapped, or of a kind or format version that this build does not know.
    """
    parts = unpack(files)
    reader = READERS.get(parts.kind)
    if reader is None:
        raise BundleError(
            f"head kind {parts.kind!r} is unknown; this build knows {sorted(READERS)}; update Rootstock"
        )
    return reader(parts)


__all__ = [
    "DEFAULT_HEAD",
    "HEADS",
    "READERS",
    "FittedHead",
    "FullHead",
    "HeadConfig",
    "HeadPrediction",
    "LinearHead",
    "LinearHeadConfig",
    "ZeroShotHead",
    "ZeroShotHeadConfig",
    "load_head",
]
