"""A process that runs trials: requests come as JSON lines on standard input, answers go as JSON lines to standard output.

What systems print goes to standard error. The process ends when its parent does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from benchmarks.quality.specification import Request
from benchmarks.quality.trials import run_trial

ROOT = Path(__file__).parents[2]
PARENT_EVERY_S = 1.0


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # packages print; their words must not get between the answers
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    answers.write("ready\n")
    answers.flush()
    serve(sys.stdin, answers)


def serve(requests: TextIO, answers: TextIO) -> None:
    for line in requests:
        answers.write(json.dumps(answer(Request.model_validate_json(line)), allow_nan=False) + "\n")
        answers.flush()


def answer(request: Request) -> dict[str, Any]:
    """The record of a trial, or `{"error": {"type", "at"}}`; the message stays in this machine's log.

    Any error is the system's or the data's: it is a result of the trial and must not end the run.
    """
    started = time.perf_counter()
    try:
        return run_trial(request)
    except Exception as error:
        sys.stderr.write(f"--- {request.spec.words}\n{traceback.format_exc()}\n")
        sys.stderr.flush()
        return {
            "error": {"type": type(error).__name__, "at": _place(error), **_package(error)},
            "seconds": {"until_error": round(time.perf_counter() - started, 3)},
        }


def _place(error: BaseException) -> str:
    """File and line of ours that the error came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT / "benchmarks")]
    frame = (ours or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _package(error: BaseException) -> dict[str, str]:
    return {"package": error.name} if isinstance(error, ModuleNotFoundError) and error.name else {}


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    main()
