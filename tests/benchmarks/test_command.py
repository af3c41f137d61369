"""The command from end to end, on a made-up folder with our own linear head."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.quality.__main__ import main
from benchmarks.quality.reports.headline import command_of
from tests.benchmarks.data_folder import write_folder

SETTINGS = [
    "--pretrain-steps",
    "3",
    "--jobs",
    "0",
    "--splits",
    "2",
    "--draws",
    "1",
    "--systems",
    "rootstock-linear",
]


def test__command__quick_run__writes_tables_and_runs_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"
    words = [
        "--quick",
        "--data",
        str(data),
        "--out",
        str(out),
        "--tables",
        "tiny",
        "--labels",
        "20,all",
        *SETTINGS,
    ]

    main(["--part", "few-labels", *words])
    first = capsys.readouterr()
    main(["--part", "few-labels", *words])
    second = capsys.readouterr()

    body = json.loads((out / "few-labels.json").read_text())
    assert [count["labels"] for count in body["counts"]] == [20, None]
    assert body["counts"][1]["systems"]["rootstock-linear"]["tables"]["tiny.y"]["mean"] > 80.0
    assert str(data) not in first.out
    assert first.out == second.out
    assert "4 trials run" in first.err
    assert "0 trials run" in second.err
    assert "4 were there" in second.err
    encoders = [path for path in (out / "encoders").iterdir() if path.is_dir()]
    assert len(encoders) == 2  # one per split, for both numbers of labels


def test__command__list_and_report_only__run_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_folder(tmp_path / "data"), tmp_path / "out"

    main(["--list", "--data", str(data), "--out", str(out)])
    listed = capsys.readouterr().out
    main(["--report-only", "--data", str(data), "--out", str(out)])

    assert "many-targets" in listed
    assert "rootstock-auto" in listed
    assert "tiny" in listed
    assert "no figures yet" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--part", "nothing"],
        ["--labels", "0"],
        ["--labels", "few"],
        ["--jobs", "-1"],
        ["--pretrain-seconds", "nan"],
    ],
)
def test__command__wrong_words__are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--tables", "nowhere"], ["--systems", "nothing"]])
def test__command__missing_folder_table_or_system__is_one_line(tmp_path: Path, words: list[str]) -> None:
    data = write_folder(tmp_path / "data") if words else tmp_path / "nothing"

    with pytest.raises(SystemExit) as caught:
        main([*words, "--data", str(data), "--out", str(tmp_path / "out"), "--jobs", "0"])

    assert isinstance(caught.value.code, str)
    assert "\n" not in caught.value.code


def test__command_of__leaves_out_what_is_of_one_machine() -> None:
    words = [
        "--data",
        "dir",
        "--part=a,b",
        "--jobs",
        "2",
        "--splits",
        "5",
        "--publish",
        "--out=dir",
        "--labels",
        "50",
    ]

    assert command_of("few-labels", words) == "--part few-labels --splits 5 --labels 50"
