"""``cybersec-mlops score``: the command as a person calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.simulate.simulate import simulate

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]

Call = Callable[..., Result]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    simulate(folder, connections=600, hours=2.0, seed=2)
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 3, "there is no model to score with yet"),
        (("--model", "nothing.zip"), 3, "the bundle cannot be read"),
        (("--model", "day@1"), 3, "has no model 1"),
        (("--out", "alerts.csv"), 2, "the name says no format"),
        (("--out", "-", "--json"), 2, "both write to stdout"),
        (("--dataset", "Not A Name"), 2, "is not a name"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(
    arguments: tuple[str, ...], code: int, said: str, call: Call, home: Platform, logs: Path, prefect_api: str
) -> None:
    done = call("score", str(logs), *arguments)
    assert done.exit_code == code, done.output
    assert said in done.stderr.replace("\n", " ")
    if "--json" in arguments:
        assert json.loads(done.stdout)["status"] == "failed"
    else:
        assert done.stdout == ""


@pytest.mark.parametrize("out", ["alerts.csv", "nowhere/alerts.ndjson", "s3://alerts.parquet"])
def test_a_wrong_place_is_told_before_a_server_is_started(out: str, call: Call, home: Platform, logs: Path) -> None:
    assert call("score", str(logs), "--out", out).exit_code == 2
    assert not (home.settings.home / "prefect").exists()


def test_logs_to_alerts(call: Call, home: Platform, logs: Path, prefect_api: str, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        "[training]\ntrees = 10\nepochs = 2\nprototypes = 32\nnominal_false_positive_rate = 0.05\n"
        "[evaluation]\nresamples = 50\nleakage_audit = false\n[scoring]\nreasons = 2\nper_day = 4\n"
    )
    trained = tmp_path / "train"
    simulate(trained, connections=3000, hours=4.0, seed=3, attack_fraction=0.1)
    assert call("run", str(trained), "--dataset", "day", "--config", str(config), "--json").exit_code in (0, 5)
    common = ("score", str(logs), "--model", "1", "--config", str(config))

    told = call(*common, "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert document["metrics"]["rows"] == 600
    assert document["metrics"]["per_day"] == 4
    assert 0 < document["metrics"]["alerts"] <= 4

    shown = call(*common, "--out", "-")
    alerts = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [one["cybersec_mlops"]["rank"] for one in alerts] == list(range(1, document["metrics"]["alerts"] + 1))
    assert {len(one["cybersec_mlops"]["explanation"]) for one in alerts} == {2}
    assert "SYNTHETIC" in shown.stderr
    assert "600 connections scored by day@1" in shown.stderr
    assert alerts[0]["source"]["address"] in shown.stderr

    listed = call("runs")
    assert "scoring completed" in listed.stdout or "scoring reused" in listed.stdout
    assert call("show", document["run_id"]).exit_code == 0
    missing = call("show", document["run_id"], "--report", str(tmp_path / "report.html"))
    assert missing.exit_code == 3, "a scoring has no report"
