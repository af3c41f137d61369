"""Labels by key, in JSON or as a file: added, replaced, withdrawn, parked until their row arrives."""

from __future__ import annotations

import secrets

import numpy as np
import polars as pl

from app.errors import InvalidRequest, TooLarge
from app.schemas.labels import LabelFileOptions, LabelsRequest
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest
from app.services.label_facts import preceding
from app.services.label_merge import merge
from app.services.label_publishing import Draft, LabelGround, LabelPublisher, ground_of
from app.services.sent_labels import LabelFormat, SentLabels, from_file, from_json
from models.features.snapshot import Snapshot
from storage.engine import Database


class LabelService:
    def __init__(
        self, database: Database, publisher: LabelPublisher, *, max_labels: int, max_file_labels: int
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._max_labels = max_labels
        self._max_file_labels = max_file_labels

    def post(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        wanted: LabelsRequest,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Add, replace and withdraw labels; those without a row are kept until it arrives.

        Raises: InvalidRequest `duplicate_key`, `no_label_matches`, `unmatched_keys` (strict), `label_precedes_row`;
            ResourceConflict `labels_from_column`; LabelError for values that do not fit the target's task; TooLarge.
        """
        if len(wanted.labels) > self._max_labels:
            raise TooLarge(
                f"A request carries at most {self._max_labels:,} labels; received {len(wanted.labels):,}. Send several.",
                code="too_many_labels",
                details={"max_labels": self._max_labels},
            )
        sent = from_json(wanted.labels)
        return self._post(principal, table_name, target_name, sent, request, wanted.strict, wanted.replace)

    def post_file(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        content: bytes,
        file_format: LabelFormat,
        options: LabelFileOptions,
        request: RepeatableRequest | None,
    ) -> Answer:
        """`post` for the labels in a file. In a CSV, values are texts where the target's classes are.

        Raises: as `post`; TableFormatError where the file is no table; InvalidRequest as `sent_labels.from_file`.
        """
        with self._database.reading() as uow:  # refused before the file is read
            target = ground_of(uow, principal, table_name, target_name).target
        as_text = options.text or any(isinstance(value, str) for value in target.classes or ())
        path = self._publisher.folder / f"labels-{secrets.token_hex(16)}"
        path.touch(mode=0o600, exist_ok=False)
        try:
            path.write_bytes(content)
            sent = from_file(path, file_format, options, as_text=as_text, max_labels=self._max_file_labels)
        finally:
            path.unlink(missing_ok=True)
        return self._post(principal, table_name, target_name, sent, request, options.strict, options.replace)

    def _post(
        self,
        principal: Principal,
        table_name: str,
        target_name: str,
        sent: SentLabels,
        request: RepeatableRequest | None,
        is_strict: bool,
        replaces_all: bool,
    ) -> Answer:
        def draft_of(ground: LabelGround, snapshot: Snapshot) -> Draft:
            before = self._publisher.labels_of(principal.workspace_id, ground.latest)
            merged = merge(before, sent.frame, replaces_all=replaces_all)
            is_known = snapshot.key_index.rows_of(sent.frame["key"].to_list()) >= 0
            _check_matches(sent, is_known, merged.is_labelled, is_strict=is_strict)
            _check_times(sent, preceding(sent.frame, snapshot, ground.schema))
            has_value = sent.frame["value"].is_not_null().to_numpy()
            return Draft(
                labels=merged.after,
                added=merged.added,
                accepted=merged.accepted,
                replaced=merged.replaced,
                withdrawn=merged.withdrawn,
                unmatched=int((~is_known & has_value).sum()),
            )

        return self._publisher.publish(principal, table_name, target_name, request, draft_of)


def _check_matches(
    sent: SentLabels, is_known: np.ndarray, is_labelled: pl.Series, *, is_strict: bool
) -> None:
    if is_strict and not is_known.all():
        raise sent.refusal(
            "unmatched_keys",
            "{count} keys have no row, at {places}. Nothing was stored; correct them, or send the labels without strict "
            "to keep them until their rows arrive.",
            ~is_known,
            unmatched=int((~is_known).sum()),
        )
    if not (is_known | is_labelled.to_numpy()).any():
        raise InvalidRequest(
            f"None of the {len(is_known)} keys has a row in the table. Keys are the text of the key column (or row "
            "numbers from 0 where the table has none); type and spelling count.",
            code="no_label_matches",
            details={"unmatched": len(is_known)},
        )


def _check_times(sent: SentLabels, is_preceding: np.ndarray) -> None:
    is_wrong = is_preceding & sent.frame["value"].is_not_null().to_numpy()
    if is_wrong.any():
        raise sent.refusal(
            "label_precedes_row",
            "{count} labels became known (`at`) before the `time` of their row, at {places}: the row holds what nobody "
            "knew then. Label the row as it was before that, or leave `at` out where it is not when the label became "
            "known.",
            is_wrong,
        )
