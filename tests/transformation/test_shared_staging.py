"""Staged parts that go through the store are the same rows, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation import shared_staging
from cybersec_mlops.transformation.slices import plan_slices, read_slice
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.staging import Staged, stage_original
from cybersec_mlops.transformation.transform import SliceJob, input_columns

Stores = tuple[ObjectStore, ObjectStore]


def staged_both_ways(stores: Stores, folder: Path) -> tuple[Staged, Staged]:
    raw, silver = stores
    lines = [*(line(number) for number in range(30)), line(31, resp_p="99999")]
    _, (original,), _ = ingest([str(write_log(folder / "conn.log", lines))], raw)
    local = stage_original(original, raw, folder / "local")
    elsewhere = stage_original(original, raw, folder / "elsewhere", compress=True)
    shared = shared_staging.share(elsewhere, silver, shared_staging.new_place(silver))
    assert not list((folder / "elsewhere").iterdir())
    return local, shared


def test_shared_parts_hold_the_same_rows(stores: Stores, tmp_path: Path) -> None:
    local, shared = staged_both_ways(stores, tmp_path)
    silver, here = stores[1], tmp_path / "here"
    planned = plan_slices([local], slice_rows=10, lookback_s=60)
    pieces = plan_slices([shared_staging.bring_seconds(shared, silver, here)], slice_rows=10, lookback_s=60)
    assert [(one.start_us, one.end_us) for one in pieces] == [(one.start_us, one.end_us) for one in planned]
    columns = input_columns(SliceJob.of([local], "x", TransformationSpec(), "").native)
    for one, other in zip(planned, pieces, strict=True):
        brought = shared_staging.bring_slice(other, silver, here)
        assert read_slice(brought, columns).equals(read_slice(one, columns))
    refused = shared_staging.bring_refused(shared, silver, here)
    assert Path(refused.rejected[0].path).read_bytes() == Path(local.rejected[0].path).read_bytes()


def test_a_damaged_part_is_not_used(stores: Stores, tmp_path: Path) -> None:
    _, shared = staged_both_ways(stores, tmp_path)
    uri = shared.parts[0].path
    stores[1].put_bytes(stores[1].key(uri), b"other", overwrite=True)
    with pytest.raises(PlatformError, match="does not match"):
        shared_staging.bring(uri, stores[1], tmp_path / "here")


def test_nothing_of_a_run_is_left_and_nothing_of_another_is_touched(stores: Stores, tmp_path: Path) -> None:
    silver = stores[1]
    _, shared = staged_both_ways(stores, tmp_path)
    silver.put_bytes("staging/other/x.arrow", b"of another run")
    shared_staging.remove(shared.parts[0].path.rpartition("/")[0], silver)
    shared_staging.remove(str(tmp_path), silver)
    assert [key for key, _ in silver.list("staging")] == ["staging/other/x.arrow"]


def test_a_local_part_is_where_it_is(stores: Stores, tmp_path: Path) -> None:
    assert shared_staging.bring("/scratch/rows.arrow", stores[1], tmp_path / "here") == "/scratch/rows.arrow"
