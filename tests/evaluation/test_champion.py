from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cybersec_mlops.evaluation.champion import seen_rows
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.transformation.silver import read_silver
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

SPEC = TransformationSpec(behaviour=False, slice_rows=1000)


def snapshot(logs: Path, layers: Layers, folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    raw, originals, _ = ingest([str(logs)], layers.raw)
    reference, made = transform(originals, raw, layers.raw, layers.silver, folder, dataset="d", spec=SPEC)
    return read_silver(made, layers.silver, folder), {"silver_manifest": {"sha256": reference.sha256}}


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers.open(f"file://{tmp_path}/store/{{layer}}")


def test_rows_up_to_the_boundary_were_seen_also_in_a_log_that_has_grown(layers: Layers, tmp_path: Path) -> None:
    simulate(tmp_path / "logs", connections=3000, hours=3.0, rotate=False)
    (log,) = (tmp_path / "logs").iterdir()
    lines = log.read_bytes().splitlines(keepends=True)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / log.name).write_bytes(b"".join(lines[:2500]))
    earlier, provenance = snapshot(tmp_path / "earlier", layers, tmp_path / "one")
    grown, _ = snapshot(tmp_path / "logs", layers, tmp_path / "two")
    boundary = earlier["ts"].sort()[earlier.height // 2]
    provenance["split"] = {"method": "time", "boundary": boundary.isoformat()}
    seen = seen_rows(grown, provenance, layers.silver, tmp_path / "scratch")
    known = set(earlier.filter(pl.col("ts") < boundary)["uid"])
    assert 0 < len(known) < earlier.height < grown.height
    assert set(grown.filter(seen)["uid"]) == known


def test_where_all_rows_are_later_the_snapshot_is_not_read(layers: Layers, tmp_path: Path) -> None:
    simulate(tmp_path / "logs", connections=500, rotate=False)
    rows, provenance = snapshot(tmp_path / "logs", layers, tmp_path / "one")
    for key, _ in [*layers.silver.list()]:
        layers.silver.delete(key)
    first = rows["ts"].min()
    assert isinstance(first, datetime)
    split = {"method": "time", "boundary": first.isoformat()}
    assert not seen_rows(rows, provenance | {"split": split}, layers.silver, tmp_path / "scratch").any()


@pytest.mark.parametrize("method", ["stratified", "given test set"])
def test_without_a_boundary_the_whole_snapshot_was_seen(method: str, layers: Layers, tmp_path: Path) -> None:
    simulate(tmp_path / "logs", connections=500, rotate=False)
    rows, provenance = snapshot(tmp_path / "logs", layers, tmp_path / "one")
    split = {"method": method, "boundary": None}
    assert seen_rows(rows, provenance | {"split": split}, layers.silver, tmp_path / "scratch").all()
    moved = rows.with_columns(raw_sha256=pl.lit("0" * 64), ts=pl.col("ts") + timedelta(days=1))
    assert not seen_rows(moved, provenance | {"split": split}, layers.silver, tmp_path / "scratch").any()


def test_rows_without_time_and_hosts_are_the_same_only_at_their_place(layers: Layers, tmp_path: Path) -> None:
    simulate(tmp_path / "logs", connections=500, rotate=False)
    rows, provenance = snapshot(tmp_path / "logs", layers, tmp_path / "one")
    bare = rows.with_columns(
        pl.lit(None, rows.schema[name]).alias(name) for name in ("ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p")
    )
    split = {"split": {"method": "given test set"}}
    assert seen_rows(bare, provenance | split, layers.silver, tmp_path / "scratch").all()
    other = bare.with_columns(raw_sha256=pl.lit("0" * 64))
    assert not seen_rows(other, provenance | split, layers.silver, tmp_path / "scratch").any()


def test_of_a_snapshot_that_is_not_here_nothing_is_known(layers: Layers, tmp_path: Path) -> None:
    simulate(tmp_path / "logs", connections=500, rotate=False)
    rows, _ = snapshot(tmp_path / "logs", layers, tmp_path / "one")
    elsewhere = hashlib.sha256(b"elsewhere").hexdigest()
    split = {"method": "time", "boundary": datetime(2100, 1, 1, tzinfo=UTC).isoformat()}
    provenance = {"silver_manifest": {"sha256": elsewhere}, "split": split}
    assert not seen_rows(rows, provenance, layers.silver, tmp_path / "scratch").any()
