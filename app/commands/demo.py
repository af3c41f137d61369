"""`rootstock demo`: from a table to served predictions in a few minutes, through the service as a user would."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.column_words import split_names
from app.commands.console import clean, results, say, show_table
from app.commands.demo_service import service_on
from app.commands.demo_story import Story, free_name, generated_story, own_story
from app.commands.following import wait_for
from app.commands.heads import outcome
from app.commands.metrics_table import leading_row
from app.commands.session import Session, load_settings, session_of
from rootstock_client import JobFailed

if TYPE_CHECKING:
    from rootstock_client import Client, PredictionSet

PRETRAIN_S = 75.0
FINETUNE_S = 60.0
MAX_LABELS = 400
NUM_STEPS = 6
CHAMPION = "champion"


def demo(
    ctx: typer.Context,
    table: Annotated[
        Path | None, typer.Option(help="A CSV, TSV or Parquet file of yours.", dir_okay=False)
    ] = None,
    targets: Annotated[str, typer.Option(help="With --table: the columns to predict, with commas.")] = "",
    key: Annotated[str, typer.Option(help="With --table: the column(s) that name a row.")] = "",
    drop: Annotated[str, typer.Option(help="With --table: columns that must not be stored.")] = "",
    pretrain_seconds: Annotated[float, typer.Option(min=1, help="Of training the encoder.")] = PRETRAIN_S,
    finetune_seconds: Annotated[
        float, typer.Option(min=1, help="Of fitting all heads and their baselines.")
    ] = FINETUNE_S,
    max_labels: Annotated[
        int | None, typer.Option(min=20, help="Labels per target; default 400, or all of --table.")
    ] = None,
    rows: Annotated[int, typer.Option(min=500, max=1_000_000, help="Rows of the generated table.")] = 20_000,
) -> None:
    """Table, encoder, three heads, predictions: on a generated table, or on one of yours. Ends by itself."""
    session = session_of(ctx)
    if table is None and (targets or key or drop):
        raise typer.BadParameter(
            "--targets, --key and --drop describe a table of yours: name it with --table"
        )
    if table is None:
        story = generated_story(rows, max_labels or MAX_LABELS)
    else:
        story = own_story(table, split_names(targets), split_names(key), split_names(drop), max_labels)
    # Without this a `kill` would leave the service running.
    signal.signal(signal.SIGTERM, _end)
    home = load_settings().home
    began = time.monotonic()
    telling = _Telling(session)
    telling.step(f"Start the service on {home}")
    with service_on(home) as (url, is_ours), Session(url=url, key=session.key).client() as client:
        telling.note(f"it listens at {url}" + ("" if is_ours else ", where it was running already"))
        answer = _tell(telling, client, story, pretrain_seconds, finetune_seconds)
        if is_ours:
            telling.note("stopping the service")
    if not session.show(answer):
        telling.note(f"done in {time.monotonic() - began:.0f} s; everything stays in {home}")
        _next_steps(answer, home, is_running=not is_ours)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


class _Telling:
    """Numbered steps; on stderr where stdout is for machines."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._number = 0

    def step(self, text: str) -> None:
        self._number += 1
        self._line(f"\n[{self._number}/{NUM_STEPS}] {text}", "bold")

    def note(self, text: str) -> None:
        self._line(f"      {text}", None)

    def table(self, columns: list[str], rows: list[list[object]]) -> None:
        if not self._session.as_json:
            show_table(columns, rows)

    def _line(self, text: str, style: str | None) -> None:
        if self._session.as_json:
            say(text, style=style)
        else:
            results().print(text, style=style)


def _tell(
    telling: _Telling, client: Client, story: Story, pretrain_seconds: float, finetune_seconds: float
) -> dict[str, Any]:
    table = free_name(story.table, {found["name"] for found in client.tables()})
    telling.step(f"Register {story.title} as {table}")
    _register(telling, client, story, table)
    telling.step(f"Pretrain one encoder on its rows for about {pretrain_seconds:.0f} s, without any label")
    encoder = wait_for(client, client.pretrain(table, max_seconds=pretrain_seconds), "pretrain").result or {}
    telling.note(f"encoder {encoder.get('encoder', 1)} is ready")
    telling.step(f"Say what to predict: {', '.join(target.name for target in story.targets)}")
    _create_targets(telling, client, story, table)
    labels = "all labels" if story.max_labels is None else f"at most {story.max_labels} labels"
    telling.step(f"Fine-tune a head for each from {labels}, in one job over one encoder pass")
    heads = _finetune(telling, client, story, table, finetune_seconds)
    telling.step("Predict all of them for some rows, in one request")
    references = [
        name if CHAMPION in head["aliases"] else f"{name}:{head['version']}" for name, head in heads.items()
    ]
    began = time.perf_counter()
    predictions = client.predict(table, references, **story.rows_to_predict())
    milliseconds = 1_000 * (time.perf_counter() - began)
    _show_predictions(telling, predictions)
    telling.note(
        f"{len(predictions)} rows, {len(references)} targets, {milliseconds:.0f} ms with the first load of the models"
    )
    return {"table": table, "encoder": encoder, "heads": heads, "predictions": predictions.to_json()}


def _register(telling: _Telling, client: Client, story: Story, table: str) -> None:
    job = client.register(table, story.source, key=story.key, targets=story.outcomes, drop=story.drop)
    result = wait_for(client, job, "register").result or {}
    columns = client.table(table)["columns"]
    kinds: dict[str, int] = {}
    for column in columns:
        kinds[column["kind"]] = kinds.get(column["kind"], 0) + 1
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1]))
    telling.note(f"{result.get('num_rows', 0):,} rows, {len(columns)} columns: {counted}")
    for line in (*story.notes, *(f"warning: {warning}" for warning in result.get("warnings") or ())):
        telling.note(clean(line))


def _create_targets(telling: _Telling, client: Client, story: Story, table: str) -> None:
    for target in story.targets:
        made = client.create_target(
            table, target.name, column=target.column, task=target.task, positive=target.positive
        )
        source = f"column {target.column}"
        if target.labels is not None:
            made = client.label(table, target.name, target.labels)
            source = "labels sent by key"
        telling.note(f"{target.name}: {made.get('task')}, {made['num_labels']:,} labels from {source}")
        for warning in made.get("warnings") or ():
            telling.note(f"warning: {clean(warning)}")


def _finetune(
    telling: _Telling, client: Client, story: Story, table: str, max_seconds: float
) -> dict[str, dict[str, Any]]:
    """Heads by target.

    Raises:
        JobFailed: none could be fitted.
    """
    names = [target.name for target in story.targets]
    job = wait_for(
        client,
        client.finetune(table, names, max_labels=story.max_labels, max_seconds=max_seconds),
        "fine-tune",
    )
    made = (job.result or {}).get("heads") or []
    heads = {
        head["target"]: client.head(table, head["target"], head["version"])
        for head in made
        if not head.get("error")
    }
    rows: list[list[object]] = []
    for name, head in heads.items():
        row = leading_row(head)
        if row is not None:
            baselines = [row.baselines.get(baseline, "") for baseline in ("logistic", "ridge", "lightgbm")]
            rows.append([name, row.metric, row.head, baselines[0] or baselines[1], baselines[2]])
    telling.table(["target", "metric", "with the encoder", "logistic or ridge", "LightGBM"], rows)
    telling.note("with 95 % intervals, out of fold; the baselines had the same labels and the raw columns")
    for head in made:
        telling.note(
            f"{head['target']}: {clean(heads.get(head['target'], {}).get('verdict') or '')} {clean(outcome(head))}"
        )
    if not heads:
        raise JobFailed("no head could be fitted; the lines above say why", job=job, code="no_head")
    return heads


def _show_predictions(telling: _Telling, predictions: PredictionSet) -> None:
    frame = predictions.frame()
    telling.table(frame.columns, [list(row) for row in frame.iter_rows()])


def _next_steps(answer: Mapping[str, Any], home: Path, *, is_running: bool) -> None:
    program = sys.argv[0] if Path(sys.argv[0]).name == "rootstock" else "rootstock"
    if home != Path.home() / ".rootstock":
        program = f"ROOTSTOCK_HOME={shlex.quote(str(home))} {program}"
    table, names = answer["table"], list(answer["heads"])
    targets = ",".join(answer["predictions"]["predictions"])
    keys = answer["predictions"]["keys"]
    lines = [] if is_running else [f"{program} serve", "# and in another terminal:"]
    if keys:
        lines.append(
            f"{program} predict {table} {targets} --keys {shlex.quote(','.join(map(str, keys[:2])))}"
        )
    else:
        lines.append(f"{program} predict {table} {targets} --rows rows.csv")
    lines += [
        f"{program} heads show {table} {names[0]} {answer['heads'][names[0]]['version']}",
        f"{program} profile {table}",
        "make demo TABLE=your.csv TARGETS=a,b KEY=id DROP=x",
    ]
    results().print("\nWhat to try next:\n" + "\n".join(f"  {line}" for line in lines), soft_wrap=True)
