"""Staged parts account for every row and can be handed on as JSON."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from pathlib import Path

import polars as pl
import pytest
from tests.zeek_sample import line, write_log

from cybersec_mlops.connections import REJECTED_SCHEMA
from cybersec_mlops.errors import PlatformError
from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.ingestion.originals import object_key
from cybersec_mlops.ingestion.reader import Batch
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation import staging
from cybersec_mlops.transformation.staging import Staged, read_refused, stage_original, staged_parts

Stores = tuple[ObjectStore, ObjectStore]


def test_kept_and_refused_add_up(stores: Stores, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(0), line(1, orig_bytes="-5"), line(2)])
    _, originals, _ = ingest([str(log)], stores[0])
    staged = stage_original(originals[0], stores[0], tmp_path / "scratch")
    assert (staged.kept, sum(staged.reasons.values())) == (2, 1)
    refused = pl.concat(read_refused(part) for part in staged.rejected)
    assert refused["raw_sha256"].to_list() == [originals[0].sha256]
    assert refused["text"][0].startswith("1700000007")
    assert sum(part.rows for part in staged_parts((staged,))) == staged.kept


def test_it_survives_json(stores: Stores, tmp_path: Path) -> None:
    _, originals, _ = ingest([str(write_log(tmp_path / "conn.log", [line(0)]))], stores[0])
    staged = stage_original(originals[0], stores[0], tmp_path / "scratch")
    assert Staged.from_dict(json.loads(json.dumps(staged.to_dict()))) == staged


def test_a_damaged_original_is_never_parsed(stores: Stores, tmp_path: Path) -> None:
    _, originals, _ = ingest([str(write_log(tmp_path / "conn.log", [line(1)]))], stores[0])
    key = object_key(originals[0].sha256)
    stores[0].put_bytes(key, stores[0].get_bytes(key).replace(b"Benign", b"Malign"), overwrite=True)
    with pytest.raises(PlatformError, match="does not match"):
        stage_original(originals[0], stores[0], tmp_path / "scratch")


def test_a_zone_moves_times_that_do_not_say_theirs(stores: Stores, tmp_path: Path) -> None:
    sample = Path(__file__).parents[1] / "ingestion" / "samples" / "cic2017_flows.csv"
    _, originals, _ = ingest([str(sample)], stores[0])
    times = [
        pl.concat(
            pl.read_ipc(part.path)["ts"]
            for part in stage_original(originals[0], stores[0], tmp_path / zone[:3], timezone=zone).parts
        )
        for zone in ("UTC", "Asia/Tokyo")
    ]
    assert set((times[0] - times[1]).dt.total_hours()) == {9}


def test_what_a_reader_copies_lies_in_the_folder(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = io.BytesIO()
    pl.read_csv(Path(__file__).parents[1] / "ingestion" / "samples" / "canonical.csv").write_parquet(table)
    (tmp_path / "table.parquet.gz").write_bytes(gzip.compress(table.getvalue()))
    _, originals, _ = ingest([str(tmp_path / "table.parquet.gz")], stores[0])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert stage_original(originals[0], stores[0], tmp_path / "scratch").kept == 5


@pytest.mark.parametrize("batches", [1, staging._COUNTS_AT_ONCE, staging._COUNTS_AT_ONCE + 1, 40])
def test_every_row_is_counted_in_its_second_however_many_batches(batches: int, stores: Stores, tmp_path: Path) -> None:
    lines = [line(number % 7) for number in range(batches)]
    _, originals, _ = ingest([str(write_log(tmp_path / "conn.log", lines))], stores[0])
    made = staging._Parts(originals[0], tmp_path, compress=False)
    rows = pl.read_ipc(stage_original(originals[0], stores[0], tmp_path / "scratch").parts[0].path)
    for number in range(batches):
        made.add(Batch(rows[number], pl.DataFrame(schema=REJECTED_SCHEMA)))
    made.finish()
    counted = pl.read_ipc(tmp_path / "seconds.arrow")
    assert counted["len"].sum() == batches
    assert counted["second"].n_unique() == counted.height == min(batches, 7)
