"""The commands against the real service, as a user would type them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from app.commands.exit_codes import ExitCode
from app.commands.heads import outcome
from app.commands.refit import show_refit
from app.commands.running_service import locked_home
from rootstock_client import Client
from tests.app.commands.conftest import Run
from tests.client.live import NUM_ROWS, LiveService, small_table


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    small_table().write_csv(path)
    return path


def test__story__from_file_to_predictions__on_the_command_line(run: Run, csv: Path, tmp_path: Path) -> None:
    ran = run(
        "register",
        "shop",
        str(csv),
        "--key",
        "id",
        "--target",
        "churned,plan",
        "--column",
        "visits=continuous",
        "--wait",
    )
    assert ran.code == 0, ran.err
    assert f"{NUM_ROWS} rows" in ran.err
    assert "visits" in run("profile", "shop").out
    pretrained = run("pretrain", "shop", "--max-seconds", "1", "--wait", "--json")
    assert pretrained.json["status"] == "succeeded"
    assert run("target", "shop", "plan", "--column", "plan").code == 0
    fitted = run("finetune", "shop", "plan", "--max-labels", "100", "--max-seconds", "5", "--wait")
    assert fitted.code == 0, fitted.err
    assert "plan: version 1 is ready" in fitted.err
    assert "may take any alias" not in fitted.err
    assert "macro_auc" in run("heads", "show", "shop", "plan", "1").out
    out = tmp_path / "predictions.parquet"
    predicted = run("predict", "shop", "plan:1", "--rows", str(csv), "--out", str(out))
    assert predicted.code == 0, predicted.err
    assert pl.read_parquet(out).shape == (NUM_ROWS, 2)
    assert run("tables", "delete", "shop", "--yes").code == 0
    assert run("tables", "show", "shop").code == ExitCode.NOT_FOUND


def test__predict__keys_rows_and_formats__agree(run: Run, prepared: str, tmp_path: Path) -> None:
    keys = small_table()["id"].head(5).to_list()
    (tmp_path / "keys.txt").write_text("\n".join(keys) + "\n")
    (tmp_path / "rows.json").write_text(json.dumps(small_table().head(5).to_dicts()))
    small_table().head(5).write_parquet(tmp_path / "rows.parquet")
    small_table().head(5).write_csv(tmp_path / "rows.tsv", separator="\t")
    by_keys = run("predict", prepared, "churn:1", "--keys", ",".join(keys), "--json").json["predictions"]
    for option in ("--keys-file=keys.txt", "--rows=rows.json", "--rows=rows.parquet", "--rows=rows.tsv"):
        name, _, file = option.partition("=")
        assert (
            run("predict", prepared, "churn:1", name, str(tmp_path / file), "--json").json["predictions"]
            == by_keys
        )
    for suffix in ("csv", "json", "parquet"):
        out = tmp_path / f"out.{suffix}"
        assert run("predict", prepared, "churn:1", "--keys", ",".join(keys), "--out", str(out)).code == 0
        assert out.is_file()
    assert pl.read_csv(tmp_path / "out.csv", infer_schema=False)["key"].to_list() == keys
    assert run("predict", prepared, "churn:1", "--keys", "a", "--out", "x.xlsx").code == ExitCode.USAGE
    shown = run("predict", prepared, "churn:1", "--keys", keys[0]).out
    assert "churn:1.probability(yes)" in shown
    assert "churn:1.set" not in shown
    asked = ("predict", prepared, "churn:1", "--keys", ",".join(keys), "--coverage", "0.8")
    assert "churn:1.set" in run(*asked).out
    sets = run(*asked, "--json").json["predictions"]["churn:1"]["set"]
    assert all(set(found) <= {"no", "yes"} and found for found in sets)
    assert run(*asked, "--out", str(tmp_path / "out.csv")).code == 0
    written = pl.read_csv(tmp_path / "out.csv", infer_schema=False)["churn:1.set"].to_list()
    assert [json.loads(text) for text in written] == sets


def test__predict__with_a_decision_rule__says_which(run: Run, prepared: str) -> None:
    key = small_table()["id"][0]
    assert run("targets", "decide", prepared, "churn", "--threshold", "0.25").code == 0
    try:
        decided = run("predict", prepared, "churn:1", "--keys", key)
    finally:
        assert run("targets", "decide", prepared, "churn", "--reset").code == 0
    assert "churn:1: decided by threshold 0.25" in decided.err
    assert "decided by" not in run("predict", prepared, "churn:1", "--keys", key).err


def test__predict__nothing_to_answer__is_refused_with_a_hint(run: Run, csv: Path) -> None:
    assert run("register", "headless", str(csv), "--key", "id", "--wait").code == 0
    assert run("pretrain", "headless", "--max-seconds", "1", "--wait").code == 0
    assert run("target", "headless", "plan", "--column", "plan").code == 0
    nothing = run("predict", "headless", "*", "--keys", small_table()["id"][0])
    assert nothing.code == ExitCode.REFUSED
    assert "nothing was predicted" in nothing.err
    assert "finetune headless" in nothing.err
    assert not nothing.out
    assert run("tables", "delete", "headless", "--yes").code == 0


def test__register_and_snapshots__reading_options__reach_the_service(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    rows = "".join(f"'k{row:03}';'{row:03}';{row},5\n" for row in range(40))
    path.write_text(f"id;code;level\n{rows}'k900';'900';-200,0\n")
    cells = ("--format", "csv", "--quote", "'", "--null-values", "-200,none", "--text-column", "code")
    said = (*cells, "--delimiter", ";", "--decimal", ",", "--column", "level=continuous")
    assert run("register", "odd", str(path), "--key", "id", *said, "--wait").code == 0
    assert run("profile", "odd", "--json").json["columns"]["level"]["nulls"] == 1
    path.write_text("id;code;level\n'k901';'901';-200,0\n")
    added = run(
        "snapshots", "add", "odd", str(path), "--mode", "append", *said[:-2], "--accept-drift", "--wait"
    )
    assert added.code == 0, added.err
    assert run("profile", "odd", "--json").json["columns"]["level"]["nulls"] == 2
    assert run("register", "odder", str(path), "--format", "xlsx").code == ExitCode.USAGE
    assert run("register", "odder", str(path), "--quote", "x").code == ExitCode.USAGE
    assert run("tables", "delete", "odd", "--yes").code == 0


def test__snapshots__refused_for_drift__shows_every_finding(run: Run, csv: Path, tmp_path: Path) -> None:
    assert run("register", "steady", str(csv), "--key", "id", "--wait").code == 0
    more = tmp_path / "more.csv"
    small_table().head(200).with_columns(
        id=pl.lit("9") + pl.col("id"), region=pl.lit("moon"), age=pl.col("age") + 900
    ).write_csv(more)
    refused = run("snapshots", "add", "steady", str(more), "--mode", "append", "--wait")
    assert refused.code == ExitCode.JOB_FAILED
    assert "drift_refused" in refused.err
    assert "severity" in refused.out
    assert "'age'" in refused.out
    assert "'region'" in refused.out
    assert run("tables", "delete", "steady", "--yes").code == 0


def test__client__of_a_served_home__finds_its_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROOTSTOCK_HOME", str(tmp_path))
    monkeypatch.delenv("ROOTSTOCK_URL", raising=False)
    (tmp_path / "admin-key").write_text("rs_aaaa_from-file\n")
    with locked_home(tmp_path) as lock:
        assert "127.0.0.1:8321" in repr(Client())
        lock.announce("http://127.0.0.1:9321")
        assert "127.0.0.1:9321" in repr(Client())
        lock.announce("http://rootstock.example.com:9321")  # never sent the key of this home
        assert "127.0.0.1:8321" in repr(Client())
        lock.announce("http://127.0.0.1:9321")
        kept = (tmp_path / "serve.json").read_text()
        (tmp_path / "serve.json").write_text("[1")
        assert "127.0.0.1:8321" in repr(Client())
    (tmp_path / "serve.json").write_text(kept)  # of a service that was killed
    assert "127.0.0.1:8321" in repr(Client())


def test__label__csv__sends_what_the_file_says(run: Run, prepared: str, tmp_path: Path) -> None:
    keys = small_table()["id"]
    frame = pl.DataFrame({"customer": keys[:50], "score": [str(position % 2) for position in range(50)]})
    path = tmp_path / "labels.csv"
    frame.with_columns(score=pl.when(pl.col("customer") == keys[0]).then(None).otherwise("score")).write_csv(
        path
    )
    assert run("target", prepared, "vip").code == 0
    names = ("--key-column", "customer", "--value-column", "score")
    sent = run("label", prepared, "vip", str(path), *names)
    assert sent.code == 0, sent.err
    assert "49 new, 0 replaced" in sent.err
    assert "0 new, 49 replaced" in run("label", prepared, "vip", str(path), *names).err
    assert "1 rows without a value" in sent.err
    assert run("targets", "show", prepared, "vip", "--json").json["classes"] == [0, 1]
    withdrawn = run("label", prepared, "vip", str(path), *names, "--withdraw-empty", "--json").json
    assert (withdrawn["replaced"], withdrawn["num_labels"]) == (49, 49)
    assert run("label", prepared, "vip", str(path)).code == ExitCode.USAGE
    assert run("targets", "delete", prepared, "vip", "--yes").code == 0


def test__look__every_listing__answers_people_and_machines(run: Run, prepared: str) -> None:
    listings = [
        ("tables", "list"),
        ("tables", "show", prepared),
        ("columns", prepared),
        ("profile", prepared),
        ("encoders", "list", prepared),
        ("encoders", "show", prepared, "1"),
        ("targets", "list", prepared),
        ("targets", "show", prepared, "churn"),
        ("heads", "list", prepared, "churn"),
        ("heads", "show", prepared, "churn", "1"),
        ("alias", "list", prepared, "churn"),
        ("jobs", "list"),
        ("keys", "list"),
    ]
    for words in listings:
        shown = run(*words)
        assert shown.code == 0, (words, shown.err)
        assert shown.out.strip(), words
        assert run(*words, "--json").json


def test__columns__changed__say_what_no_longer_fits(run: Run, csv: Path) -> None:
    assert run("register", "to-change", str(csv), "--key", "id", "--wait").code == 0
    assert "categorical" in run("columns", "to-change", "age=categorical").out
    assert run("columns", "to-change", "age=nonsense").code == ExitCode.USAGE
    assert run("columns", "to-change", "age").code == ExitCode.USAGE
    assert run("columns", "to-change", "shoe_size=drop").code in {ExitCode.REFUSED, ExitCode.NOT_FOUND}
    assert run("tables", "delete", "to-change", "--yes").code == 0


def test__snapshots__added_shown_and_restored(run: Run, csv: Path, tmp_path: Path) -> None:
    assert run("register", "to-grow", str(csv), "--key", "id", "--wait").code == 0
    more = tmp_path / "more.csv"
    small_table().head(40).with_columns(id=pl.lit("9") + pl.col("id")).write_csv(more)
    assert run("snapshots", "add", "to-grow", str(more), "--mode", "merge").code == ExitCode.USAGE
    added = run("snapshots", "add", "to-grow", str(more), "--mode", "append", "--wait")
    assert added.code == 0, added.err
    assert f"snapshot 2 has {NUM_ROWS + 40} rows (40 added" in added.err
    again = run("snapshots", "add", "to-grow", str(more), "--mode", "append", "--wait")
    assert again.code == ExitCode.JOB_FAILED
    assert "key_exists" in again.err
    assert "append" in run("snapshots", "list", "to-grow").out
    assert run("snapshots", "show", "to-grow", "2", "--json").json["changes"]["added"] == 40
    assert "replace" in run("snapshots", "show", "to-grow", "1").out
    assert run("profile", "to-grow", "--snapshot", "1", "--json").json["num_rows"] == NUM_ROWS
    assert "snapshot 3 holds" in run("snapshots", "restore", "to-grow", "1").err
    assert run("snapshots", "restore", "to-grow", "9").code == ExitCode.NOT_FOUND
    assert run("columns", "to-grow", "--proposals").code == 0
    assert run("columns", "to-grow", "--accept", "--json").json["accepted"] is not None
    assert run("columns", "to-grow", "--accept", "--proposals").code == ExitCode.USAGE
    assert run("tables", "delete", "to-grow", "--yes").code == 0


def test__alias__set_rolled_back_and_shown(run: Run, prepared: str) -> None:
    assert "revision 1" in run("alias", "set", prepared, "churn", "shadow", "1").err
    assert run("alias", "history", prepared, "churn", "shadow", "--json").json[0]["version"] == 1
    assert run("alias", "rollback", prepared, "churn", "shadow").code == ExitCode.REFUSED
    assert run("alias", "set", prepared, "churn", "shadow", "9").code == ExitCode.NOT_FOUND
    assert run("heads", "delete", prepared, "churn", "1", "--yes").code == ExitCode.REFUSED


def test__jobs__failed_one__exits_with_its_code_and_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ragged.csv"
    path.write_text("id,a\n" + "".join(f"{i},1\n" for i in range(200_000)) + "x,1,2\n")
    ran = run("register", "ragged", str(path), "--wait")
    assert ran.code == ExitCode.JOB_FAILED
    assert "ragged_row" in ran.err
    assert "200" in ran.err
    failed = run("jobs", "list", "--status", "failed", "--json").json  # newest first
    job = next(job for job in failed if job["kind"] == "ingest")
    assert run("jobs", "wait", job["id"]).code == ExitCode.JOB_FAILED
    assert "failed" in run("jobs", "events", job["id"]).out
    assert json.loads(run("jobs", "events", job["id"], "--json").out.splitlines()[-1])["type"] == "failed"
    assert job["id"] in run("jobs", "show", job["id"]).out


def test__jobs__cancelled__says_so(run: Run, prepared: str) -> None:
    started = run("pretrain", prepared, "--max-seconds", "300", "--json").json
    assert started["encoder"]["status"] == "pretraining"
    assert run("jobs", "cancel", started["job"]["id"]).code == 0
    assert run("jobs", "wait", started["job"]["id"]).code == ExitCode.JOB_FAILED


def test__keys__made_used_and_revoked(run: Run, service: LiveService) -> None:
    made = run("keys", "create", "ci", "--scopes", "tables:read", "--days", "1")
    secret = made.out.strip()
    assert secret.startswith("rs_")
    assert secret not in made.err
    assert run("--key", secret, "tables", "list").code == 0
    assert run("--key", secret, "keys", "list").code == ExitCode.NO_ACCESS
    public_id = secret.split("_")[1]
    assert public_id in run("keys", "list").out
    assert run("keys", "revoke", public_id).code == 0
    assert run("keys", "create", "ci", "--workspace", "other").code == ExitCode.USAGE


def test__keys__offline__reach_another_workspace(run: Run, prepared: str) -> None:
    made = run(
        "keys",
        "create",
        "operator",
        "--workspace",
        "elsewhere",
        "--offline",
        "--scopes",
        "tables:read",
        "--json",
    ).json
    assert made["workspace"] == "elsewhere"
    ran = run("--key", made["key"], "tables", "list", "--json")
    assert (ran.code, ran.json) == (0, [])
    assert run("--key", made["key"], "tables", "show", prepared).code == ExitCode.NOT_FOUND
    assert run("keys", "create", "x", "--workspace", "../x", "--offline").code == ExitCode.USAGE
    assert run("keys", "create", "x", "--scopes", "everything", "--offline").code == ExitCode.USAGE


def test__refused__name_and_file__leave_nothing(run: Run, csv: Path, prepared: str, tmp_path: Path) -> None:
    pdf = tmp_path / "report.csv"
    pdf.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    assert run("register", prepared, str(csv)).code == ExitCode.REFUSED
    assert run("register", "../x", str(csv)).code == ExitCode.REFUSED
    refused = run("register", "report", str(pdf))
    assert refused.code == ExitCode.REFUSED
    assert "not_a_table" in refused.err
    assert "report" not in [table["name"] for table in run("tables", "list", "--json").json]


def test__doctor__sound_home__finds_nothing_wrong(run: Run, prepared: str) -> None:
    found = {finding["check"]: finding for finding in run("doctor", "--json").json}
    assert {finding["health"] for finding in found.values()} <= {"fine", "note"}
    assert found["database"]["health"] == "fine"
    assert "verified" in found["artifacts of default"]["found"]


def test__outcome__of_a_head_that_may_serve__says_how(capsys: pytest.CaptureFixture[str]) -> None:
    head = {
        "target": "churn",
        "version": 2,
        "alias": None,
        "passes_gate": True,
        "alias_reason": "It is fine.",
    }
    said = outcome(head, "shop")
    assert "may take any alias: It is fine." in said
    assert "rootstock alias set shop churn champion 2" in said
    assert "no alias was moved" in outcome({**head, "passes_gate": False})
    assert "champion points at it" in outcome({**head, "alias": "champion"})
    row = {
        "target": "churn",
        "champion": 1,
        "version": 2,
        "moved": False,
        "sentence": "worse",
        "reason": "It is worse.",
    }
    show_refit({"summary": [row, {**row, "target": "kept", "reason": "worse"}]})
    assert capsys.readouterr().err == "churn: champion stays. It is worse.\n"
