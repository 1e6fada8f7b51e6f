"""Logs to alerts: independent of slices, files and order; other formats; what is missing is said."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.scoring.conftest import SMALL, Scored, Simulated, World

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.scoring.alert_files import ALERT_SCHEMA
from cybersec_mlops.scoring.batch import ScoringJob, feature_rows, score, slice_job
from cybersec_mlops.scoring.spec import ScoringSpec
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import write_bundle
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.transformation.silver import read_silver
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.staging import stage_original
from cybersec_mlops.transformation.transform import plan, transform
from cybersec_mlops.transformation.while_storing import parsing

SAMPLES = Path(__file__).parents[1] / "ingestion" / "samples"
NATIVE = ("zeek_conn.log", "suricata_eve.json", "argus_commas.csv")


@pytest.fixture(scope="module")
def new_log(simulated: Simulated) -> Path:
    return simulated(seed=9, format="zeek-json", hours=30.0)


@pytest.fixture(scope="module")
def scored(world: World, new_log: Path) -> Scored:
    return world.score(new_log)


def without_place(scored: Scored) -> list[dict[str, Any]]:
    """Return the alerts without the place in RAW, which follows the files."""
    told = json.loads(json.dumps(scored.documents))
    for one in told:
        del one["event"]["id"], one["cybersec_mlops"]["raw"]
    return list(told)


def test_every_row_is_scored_and_the_highest_come_first(scored: Scored) -> None:
    outputs, alerts = scored.outputs, scored.alerts
    assert outputs["rows"] == outputs["read"] == 3000
    assert 0 < outputs["alerts"] == alerts.height == len(scored.documents) == outputs["alerting_rows"]
    assert alerts.schema == pl.Schema(ALERT_SCHEMA)
    assert alerts["rank"].to_list() == list(range(1, alerts.height + 1))
    assert alerts["score"].is_sorted(descending=True)
    assert (alerts["score"] >= alerts["threshold_score"]).all()
    assert (alerts["p_value"] <= alerts["nominal_rate"] + 1e-9).all()
    assert alerts["explanation"].list.len().to_list() == [5] * alerts.height
    assert sum(row for row, _, _ in outputs["days"].values()) == 3000
    assert {day: count for day, (_, _, count) in outputs["days"].items() if count} == Counter(
        str(day) for day in alerts["ts"].dt.date()
    )


def test_both_files_say_the_same(scored: Scored) -> None:
    for document, alert in zip(scored.documents, scored.alerts.iter_rows(named=True), strict=True):
        own = document["cybersec_mlops"]
        assert (own["rank"], own["score"], own["p_value"]) == (alert["rank"], alert["score"], alert["p_value"])
        assert (own["raw"]["sha256"], own["raw"]["line"]) == (alert["raw_sha256"], alert["raw_line"])
        assert [one["feature"] for one in own["explanation"]] == [one["feature"] for one in alert["explanation"]]
        assert own["threshold"]["nominal_rate"] == alert["nominal_rate"]


def test_an_alert_leads_back_to_its_line(scored: Scored, new_log: Path) -> None:
    lines = new_log.read_text().splitlines()
    for document in scored.documents[:20]:
        record = json.loads(lines[document["cybersec_mlops"]["raw"]["line"] - 1])
        assert record["uid"] == document["cybersec_mlops"]["connection"]["uid"]
        assert record["id.orig_h"] == document["source"]["address"]


def test_the_alerts_do_not_depend_on_the_slices(scored: Scored, world: World, new_log: Path) -> None:
    again = world.score(new_log, transformation=TransformationSpec(slice_rows=1000))
    assert again.lines == scored.lines
    assert again.alerts.equals(scored.alerts)


def test_the_alerts_do_not_depend_on_when_the_log_was_parsed(
    scored: Scored, world: World, new_log: Path, tmp_path: Path
) -> None:
    raw, (original,), _ = ingest([str(new_log)], world.layers.raw)
    with new_log.open("rb") as content:
        parsing(world.layers.raw, tmp_path)(original, content)(original)
    assert (tmp_path / original.sha256).exists()
    job = ScoringJob(world.bundle, "day", 1, raw, TransformationSpec(), ScoringSpec())
    outputs = score([original], job, world.layers, tmp_path / "scratch", parsed=tmp_path)
    assert outputs["alerts_ndjson"] == scored.outputs["alerts_ndjson"]


@pytest.mark.parametrize("cut", [1, 700, 2999])
def test_the_alerts_do_not_depend_on_files_and_order(
    cut: int, scored: Scored, world: World, new_log: Path, tmp_path: Path
) -> None:
    lines = new_log.read_text().splitlines(keepends=True)
    random.Random(cut).shuffle(lines)
    for name, part in (("a.log", lines[cut:]), ("b.log", lines[:cut])):
        (tmp_path / name).write_text("".join(part))
    again = world.score(tmp_path / "a.log", tmp_path / "b.log")
    assert without_place(again) == without_place(scored)


def test_features_are_those_of_the_transformation(world: World, new_log: Path, tmp_path: Path) -> None:
    layers = world.layers
    raw, originals, _ = ingest([str(new_log)], layers.raw)
    _, manifest = transform(
        originals, raw, layers.raw, layers.silver, tmp_path / "t", dataset="new", spec=TransformationSpec()
    )
    silver = read_silver(manifest, layers.silver, tmp_path / "r")
    staged = [stage_original(one, layers.raw, tmp_path / "s") for one in originals]
    job = ScoringJob(world.bundle, "day", 1, raw, TransformationSpec(slice_rows=1000), ScoringSpec())
    slices = slice_job(world.model, staged, job, tmp_path)
    rows = pl.concat(feature_rows(piece, slices, world.model) for piece in plan(staged, slices.spec))
    assert world.model.windows_s == (60, 600)
    names = list(world.model.features)
    assert rows.sort("raw_line").select(names).equals(silver.sort("raw_line").select(names))


@pytest.mark.parametrize("limit", [1, 7, 10_000])
def test_at_most_so_many_a_day_and_those_the_first(limit: int, scored: Scored, world: World, new_log: Path) -> None:
    capped = world.score(new_log, spec=ScoringSpec(per_day=limit), transformation=TransformationSpec(slice_rows=1000))
    day = pl.col("ts").dt.date()
    expected = scored.alerts.filter(pl.int_range(pl.len()).over(day) < limit).drop("rank")
    assert expected["ts"].dt.date().n_unique() > 1
    assert capped.alerts.drop("rank").equals(expected)
    assert capped.outputs["alerting_rows"] == scored.outputs["alerting_rows"]


def test_a_log_of_another_format_is_scored_as_far_as_it_goes(world: World, simulated: Simulated) -> None:
    found = world.score(simulated(seed=4, format="cicflowmeter"))
    assert found.outputs["formats"] == ["cicflowmeter"]
    assert found.outputs["rows"] == 3000
    missing = set(found.outputs["missing_features"])
    assert {"conn_state", "history_orig_syn"} <= missing
    assert not {"duration_s", "orig_bytes", "proto", "orig_conns_60s"} & missing
    for one in found.documents:
        assert set(one["cybersec_mlops"]["model"]["missing_features"]) == missing


@pytest.mark.parametrize("name", NATIVE)
def test_a_sample_of_every_sensor_is_scored(name: str, world: World) -> None:
    found = world.score(SAMPLES / name)
    assert found.outputs["rows"] > 0
    assert found.outputs["read"] == sum(
        (found.outputs["rows"], found.outputs["quarantined"], *found.outputs["skipped"].values())
    )
    assert set(found.outputs["missing_features"]) < set(world.model.features)


def test_what_is_refused_is_counted_and_kept(world: World, new_log: Path, tmp_path: Path) -> None:
    lines = new_log.read_text().splitlines()[:300]
    broken = json.loads(lines[7]) | {"id.orig_p": 99_999}
    (tmp_path / "conn.log").write_text("\n".join([*lines, json.dumps(broken)]) + "\n")
    outputs = world.score(tmp_path / "conn.log").outputs
    assert (outputs["read"], outputs["rows"], outputs["quarantined"]) == (301, 300, 1)
    kept = Reference.from_dict(outputs["quarantine"][0])
    store = world.layers.eval
    assert pl.read_parquet(store.get_bytes(store.key(kept.uri), sha256=kept.sha256))["raw_line"].to_list() == [301]


def test_logs_without_any_feature_of_the_model_are_refused(world: World, new_log: Path) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"cic_a": rng.random(300), "cic_b": rng.random(300), "label": ["BENIGN"] * 300})
    spec = SMALL.model_copy(update={"supervised": "never"})
    data = write_bundle(fit_detector(rows.with_columns(is_attack=False), spec).detector)
    bundle = world.layers.models.put_bytes(f"bundles/{hashlib.sha256(data).hexdigest()}.zip", data)
    with pytest.raises(DataError, match="none of the model's 2 features") as caught:
        World(world.layers, bundle, world.folder).score(new_log)
    assert "--model" in caught.value.hint


def test_rows_without_time_are_one_day(world: World) -> None:
    found = world.score(SAMPLES / "nsl_kdd.txt", spec=ScoringSpec(per_day=1))
    assert list(found.outputs["days"]) == ["no time"]
    assert found.outputs["alerts"] <= 1
    assert all("@timestamp" not in one for one in found.documents)


def test_hostile_text_is_text_in_every_output(world: World, new_log: Path, tmp_path: Path) -> None:
    hostile = "\x1b[2J<script>\u202e=cmd|' /C calc'!A0,`rm -rf`\u0000"
    rows = []
    for line in new_log.read_text().splitlines()[:400]:
        rows.append(json.dumps(json.loads(line) | {"uid": hostile, "service": hostile}))
    (tmp_path / "conn.log").write_text("\n".join(rows) + "\n")
    found = world.score(tmp_path / "conn.log")
    assert found.outputs["alerts"] > 0
    assert found.lines.isascii()
    assert b"\x1b" not in found.lines
    assert b"\x00" not in found.lines
    assert all(one["cybersec_mlops"]["connection"]["uid"].startswith("\x1b[2J<script>") for one in found.documents)
