"""The two files of a scoring: empty ones too, in order over many blocks, with the facts in the metadata."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.scoring.conftest import Simulated, World

from cybersec_mlops.scoring import alert_files, ranking
from cybersec_mlops.scoring.alert_files import ALERT_SCHEMA, store_alerts
from cybersec_mlops.scoring.ecs import AlertSource
from cybersec_mlops.scoring.spec import ScoringSpec


def test_blocks_leave_no_trace(world: World, simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    log = simulated(seed=21, connections=1500)
    whole = world.score(log)
    monkeypatch.setattr(alert_files, "EXPLAINED_ROWS", 7)
    monkeypatch.setattr(ranking, "STEP", 5)
    assert world.score(log).lines == whole.lines


def test_the_table_says_what_it_is(world: World, simulated: Simulated, tmp_path: Path) -> None:
    found = world.score(simulated(seed=4, format="cicflowmeter", connections=500), spec=ScoringSpec(reasons=0))
    store, stored = world.layers.eval, found.outputs["alerts_parquet"]
    store.fetch(store.key(stored["uri"]), tmp_path / "a.parquet")
    told = json.loads(pl.read_parquet_metadata(tmp_path / "a.parquet")["cybersec_mlops"])
    assert told["missing_features"] == found.outputs["missing_features"]
    assert told["model"]["sha256"] == world.bundle.sha256
    assert found.alerts["explanation"].list.len().sum() == 0


def test_no_alert_is_two_empty_files(world: World, tmp_path: Path) -> None:
    source = AlertSource("day", world.bundle.sha256, 1, False, ())
    stored = store_alerts([], world.model.detector, source, ScoringSpec(), world.layers.eval, tmp_path, {})
    assert stored.ndjson.bytes == 0
    assert stored.parquet.rows == stored.counts.total() == 0
    assert pl.read_parquet(tmp_path / "alerts.parquet").schema == pl.Schema(ALERT_SCHEMA)
