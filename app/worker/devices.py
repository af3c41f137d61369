"""Which device a worker trains on."""

from __future__ import annotations

import torch


def resolve_device(name: str) -> str:
    """`auto` becomes the first GPU, or the CPU where there is none.

    Raises:
        ValueError: a GPU was named that this process does not see.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= found:
            raise ValueError(
                f"The device {name} is not there: this process sees {found} GPUs; use --device cpu or auto."
            )
    return name
