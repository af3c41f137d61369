"""Lets torchvision import beside a torch of another build (a CPU-only torch, torchvision's wheel for CUDA).

Packages for tables import torchvision only because torchmetrics or an image part does. Its compiled library then does not
load, and its import fails on declaring shapes for two operators of that library. Nothing here ever calls them.
"""

from __future__ import annotations

import importlib.util

import torch

OPERATORS = ("nms", "qnms")
_declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # its declarations end when it is collected


def declare_missing() -> None:
    """Declares what is missing of torchvision's operators; to be called before an import that imports it."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in OPERATORS:
            if not hasattr(torch.ops.torchvision, name):
                _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
