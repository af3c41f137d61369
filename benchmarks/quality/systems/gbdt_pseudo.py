"""Boosted trees with pseudo-labels (Jain 2017, as the TabTransformer paper compares it): fit, label others, fit again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.quality.systems.lightgbm_trees import FixedLightGBMSystem
from benchmarks.quality.systems.perceptrons import CLASSIFICATION
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.trial import Predict, Trial

PSEUDO_SHARE = 0.2  # of the unlabelled rows, drawn at random


class GBDTPseudoSystem:
    name = "gbdt-pseudo"
    about = (
        f"lightgbm-fixed, fitted again with its likeliest classes of {PSEUDO_SHARE:.0%} of the unlabelled training rows "
        "beside the labels"
    )
    tasks = CLASSIFICATION

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        trees = FixedLightGBMSystem()
        first = trees.fit(trial)
        unlabelled = np.setdiff1d(trial.train_rows, trial.labelled_rows)
        num_drawn = round(PSEUDO_SHARE * len(unlabelled))
        if num_drawn == 0:
            return first
        drawn = np.random.default_rng(trial.seed).choice(unlabelled, num_drawn, replace=False)
        guessed = first(trial.frame[drawn]).argmax(axis=1).astype(np.float64)
        return trees.fit(
            replace(
                trial,
                labelled_rows=np.concatenate([trial.labelled_rows, drawn]),
                labels=np.concatenate([trial.labels, guessed]),
            )
        )
