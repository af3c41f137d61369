"""What a champion says about hold-out rows that came after it: none of them was fitted by it or by the new head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from app.jobs.contract import Task
from app.jobs.snapshots import load_encoder
from models.evaluation.judged import JudgedRows
from models.features.snapshot import Snapshot
from models.heads import load_head
from models.predictor import Predictor
from storage.orm import Head


def has_later_rows(new: JudgedRows, old: JudgedRows) -> bool:
    """Whether `new` has hold-out rows beside those of `old`, of the same line of snapshots.

    Rows keep their side of the split within a line. That it is one shows by the rows in common: identities of another
    line never match.
    """
    if new.on != "holdout" or new.identities is None or old.identities is None:
        return False
    is_known = np.isin(new.identities, old.identities)
    return bool(is_known.any() and not is_known.all())


def judged_again(
    task: Task, champion: Head, files: Mapping[str, bytes], new: JudgedRows, snapshot: Snapshot
) -> JudgedRows:
    """The champion on the rows of `new`, as it would serve them: outputs in its own classes, labels left at 0.

    Columns that the snapshot lost are missing values to it.

    Raises: BundleError; StorageError, when its encoder or files cannot be read.
    """
    bundle = load_encoder(task, champion.encoder_id)
    columns = [name for name in bundle.codec.sources if name in snapshot.columns]
    frame = snapshot.read(columns, with_row_ids=False)[new.rows]
    (prediction,) = Predictor(bundle).predict(frame, [load_head(files)]).predictions
    return replace(new, outputs=prediction.outputs, labels=np.zeros(len(new)))
