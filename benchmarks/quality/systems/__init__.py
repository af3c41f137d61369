"""Compared systems, one module each. A new one is one file and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from benchmarks.quality.systems.rootstock import ROOTSTOCK
from benchmarks.quality.trial import System


def _of(module: str, name: str) -> Callable[[], System]:
    """The class `name` of a module here, imported when it is made.

    The factory raises:
        ImportError: the package it compares with is not installed.
    """

    def make() -> System:
        system: System = getattr(importlib.import_module(f"{__name__}.{module}"), name)()
        return system

    return make


SYSTEMS: dict[str, Callable[[], System]] = {
    **ROOTSTOCK,
    "logistic": _of("linear_models", "LogisticSystem"),
    "ridge": _of("linear_models", "RidgeSystem"),
    "lightgbm": _of("lightgbm_trees", "LightGBMSystem"),
    "lightgbm-fixed": _of("lightgbm_trees", "FixedLightGBMSystem"),
    "catboost": _of("catboost_trees", "CatBoostSystem"),
    "catboost-tuned": _of("catboost_trees", "TunedCatBoostSystem"),
    "xgboost": _of("xgboost_trees", "XGBoostSystem"),
    "tabm": _of("pytabkit_networks", "TabMSystem"),
    "realmlp": _of("pytabkit_networks", "RealMLPSystem"),
    "tabnet": _of("tabnet", "TabNetSystem"),
    "mlp": _of("perceptrons", "MLPSystem"),
    "sparse-mlp": _of("perceptrons", "SparseMLPSystem"),
    "deep-vib": _of("deep_vib", "DeepVIBSystem"),
    "mlp-entropy": _of("perceptrons", "MLPEntropySystem"),
    "mlp-pseudo": _of("perceptrons", "MLPPseudoSystem"),
    "mlp-dae": _of("denoising_autoencoder", "MLPDenoisingSystem"),
    "gbdt-pseudo": _of("gbdt_pseudo", "GBDTPseudoSystem"),
    "tabtransformer": _of("tab_transformers", "TabTransformerSystem"),
    "tabtransformer-entropy": _of("tab_transformers", "TabTransformerEntropySystem"),
    "tabtransformer-pseudo": _of("tab_transformers", "TabTransformerPseudoSystem"),
    "tabtransformer-mlm": _of("tab_transformers", "TabTransformerMLMSystem"),
    "tabtransformer-rtd": _of("tab_transformers", "TabTransformerRTDSystem"),
}
"""By name; made when asked for, so that a package is imported only by who compares with it."""
