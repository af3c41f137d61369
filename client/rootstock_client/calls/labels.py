"""Send labels, look at their versions, undo them, and ask which rows to label next."""

from __future__ import annotations

from pathlib import Path

from rootstock_client.calls.base import Calls, without_none
from rootstock_client.errors import InvalidArgumentError, InvalidRequestError
from rootstock_client.frames import Labels, label_batches
from rootstock_client.transport import JsonObject, json_object

LABELS_PER_REQUEST = 50_000
NO_KEY_MATCHES = "no_label_matches"
_COUNTS = ("accepted", "replaced", "withdrawn", "unmatched")
_FILE_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".txt": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
}


class LabelCalls(Calls):
    def label(
        self,
        table: str,
        target: str,
        labels: Labels | str | Path,
        *,
        strict: bool = False,
        replace: bool = False,
        labels_per_request: int = LABELS_PER_REQUEST,
    ) -> JsonObject:
        """Send labels by key; a null value withdraws the label of its key.

        Many labels go in several requests, each applied as a whole before the next is sent; `strict` (refuse
        when any key is unknown) holds within each. A request none of whose keys is known is refused and
        counted as unmatched where others are not.

        Args:
            labels: a frame with the columns `key`, `value` (and `at`, `weight`); or mappings with these
                names; or tuples `(key, value)`; or the path of a CSV or Parquet file (see `label_file`).
            replace: these are all labels: every other one is withdrawn. They must fit one request.

        Returns:
            `{"accepted", "replaced", "withdrawn", "unmatched", "num_labels"}`, summed over the requests.
        """
        if isinstance(labels, str | Path):
            return self.label_file(table, target, labels, strict=strict, replace=replace)
        batches = label_batches(labels, labels_per_request)
        if replace:
            whole = list(batches)
            if len(whole) > 1:
                raise InvalidArgumentError(
                    f"replace takes one request, and these labels are {len(whole)}: send a file with `label_file`, or "
                    "raise labels_per_request",
                    code="too_many_labels",
                )
            batches = iter(whole)
        total: JsonObject = dict.fromkeys(_COUNTS, 0)
        refused: InvalidRequestError | None = None
        answer: JsonObject | None = None
        for batch in batches:
            body: JsonObject = {"labels": batch, "strict": strict} | ({"replace": True} if replace else {})
            try:
                answer = json_object(
                    self._transport.call(
                        "POST", "tables", table, "targets", target, "labels", body=body, makes_something=True
                    )
                )
            except InvalidRequestError as error:
                if strict or error.code != NO_KEY_MATCHES:
                    raise
                refused = error
                total["unmatched"] += len(batch)
                continue
            for name in _COUNTS:
                total[name] += answer.get(name, 0)
            total |= {name: value for name, value in answer.items() if name not in _COUNTS}
        if answer is None:
            raise refused or InvalidArgumentError("there are no labels to send", code="no_labels")
        return total

    def label_file(
        self,
        table: str,
        target: str,
        path: str | Path,
        *,
        key: str = "key",
        value: str = "value",
        at: str | None = None,
        weight: str | None = None,
        text: bool = False,
        strict: bool = False,
        replace: bool = False,
    ) -> JsonObject:
        """Send the labels of a CSV or Parquet file in one request; an empty value withdraws.

        Args:
            key, value, at, weight: the file's columns; `at` and `weight` are used where it has them.
            text: labels of a CSV that look like numbers are texts (they are anyway where the target's are).
            strict: refuse all when any key has no row.
            replace: these are all labels: every other one is withdrawn.
        """
        file = Path(path)
        media_type = _FILE_TYPES.get(file.suffix.lower())
        if media_type is None:
            raise InvalidArgumentError(
                f"labels come as .csv or .parquet files, received {file.suffix or 'no suffix'!r}",
                code="unsupported_format",
            )
        params = without_none({"key": key, "value": value, "at": at, "weight": weight})
        params |= {name: "true" for name, is_on in _flags(text, strict, replace).items() if is_on}
        response = self._transport.call(
            "POST",
            "tables",
            table,
            "targets",
            target,
            "labels",
            content=file.read_bytes(),
            params=params,
            headers={"Content-Type": media_type},
            makes_something=True,
        )
        return json_object(response)

    def label_sets(self, table: str, target: str, *, limit: int | None = None) -> list[JsonObject]:
        """Versions of the target's labels, newest first."""
        return self._list("tables", table, "targets", target, "label-sets", items="label_sets", limit=limit)

    def label_set(self, table: str, target: str, version: int) -> JsonObject:
        return self._get("tables", table, "targets", target, "label-sets", version)

    def compare_label_sets(
        self,
        table: str,
        target: str,
        version: int,
        with_version: int | None = None,
        *,
        limit: int | None = None,
    ) -> JsonObject:
        """What became of the labels of `with_version` (by default the one before) in `version`; `limit` bounds the list
        of `labels`."""
        segments = ("tables", table, "targets", target, "label-sets", version, "compare")
        params: dict[str, str | int] = {"limit": min(limit or 1_000, 1_000)}
        if with_version is not None:
            params["with"] = with_version
        found: JsonObject | None = None
        while True:
            page = json_object(self._transport.call("GET", *segments, params=params))
            if found is None:
                found = page
            else:
                found["labels"] += page["labels"]
            cursor = page.get("next_cursor")
            if not cursor or (limit is not None and len(found["labels"]) >= limit):
                found.pop("next_cursor", None)
                return found if limit is None else found | {"labels": found["labels"][:limit]}
            params["cursor"] = cursor

    def restore_labels(self, table: str, target: str, version: int) -> JsonObject:
        """Undo: a new version with the labels of `version`; what happened in between stays in the history."""
        return json_object(
            self._transport.call(
                "POST",
                "tables",
                table,
                "targets",
                target,
                "label-sets",
                version,
                "restore",
                makes_something=True,
            )
        )

    def download_labels(self, table: str, target: str, version: int, path: str | Path) -> Path:
        """Write all labels of a version to `path`, as CSV or Parquet by its suffix."""
        file = Path(path)
        file_format = "parquet" if file.suffix.lower() in {".parquet", ".pq"} else "csv"
        segments = ("tables", table, "targets", target, "label-sets", version, "labels")
        response = self._transport.call("GET", *segments, params={"format": file_format})
        fresh = file.with_name(f".{file.name}.partial")
        try:
            fresh.write_bytes(response.content)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
        return file

    def delete_label_set(self, table: str, target: str, version: int) -> None:
        """Delete an old version; not the latest, nor one that a head was fitted on."""
        self._transport.call("DELETE", "tables", table, "targets", target, "label-sets", version)

    def keys_to_label(
        self, table: str, target: str, count: int = 50, *, strategy: str = "random", seed: int = 0
    ) -> list[str]:
        """Keys of rows to label next, best first.

        Args:
            strategy: `random`; `uncertain`, where the champion hesitates; `diverse`, unlike each other and what
                is labelled.
        """
        params: dict[str, str | int] = {"count": count, "strategy": strategy, "seed": seed}
        segments = ("tables", table, "targets", target, "keys-to-label")
        found: list[str] = json_object(self._transport.call("GET", *segments, params=params))["keys"]
        return found


def _flags(text: bool, strict: bool, replace: bool) -> dict[str, bool]:
    return {"text": text, "strict": strict, "replace": replace}
