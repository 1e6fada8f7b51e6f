"""RAW to SILVER: every row accounted for, features independent of the files, results equal for equal inputs."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.ingestion.exports import BASIC, basic, set_of, template, v9
from tests.transformation.conftest import Transform
from tests.zeek_sample import HEADER, line, write_log

from cybersec_mlops.connections import PROVENANCE_SCHEMA, is_feature
from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.inspect import inspect_sources
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.transformation.silver import read_silver
from cybersec_mlops.transformation.spec import TransformationSpec

Stores = tuple[ObjectStore, ObjectStore]


def rows_of(made: tuple[object, object], stores: Stores, tmp_path: Path) -> pl.DataFrame:
    return read_silver(made[1], stores[1], tmp_path / "read")  # type: ignore[arg-type]


def without_provenance(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop(list(PROVENANCE_SCHEMA)).sort("ts", "uid")


@pytest.mark.parametrize("cut", [1, 50, 150, 299])
def test_the_rows_do_not_depend_on_the_files(
    cut: int, run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    lines = [line(number) for number in range(300)]
    whole = rows_of(run_transform(write_log(tmp_path / "all.log", lines)), stores, tmp_path)
    later, earlier = write_log(tmp_path / "a.log", lines[cut:]), write_log(tmp_path / "b.log", lines[:cut])
    parts = rows_of(run_transform(later, earlier), stores, tmp_path)
    assert without_provenance(parts).equals(without_provenance(whole))


def test_the_rows_do_not_depend_on_the_slices(run_transform: Transform, stores: Stores, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(number) for number in range(3000)])
    one = run_transform(log)
    many = run_transform(log, spec=TransformationSpec(slice_rows=1000))
    assert len(many[1].parts) == 3
    assert rows_of(one, stores, tmp_path).equals(rows_of(many, stores, tmp_path))


def test_equal_bytes_give_equal_hashes(run_transform: Transform, tmp_path: Path) -> None:
    first = run_transform(write_log(tmp_path / "a.log", [line(number) for number in range(50)]))
    again = run_transform(write_log(tmp_path / "another-name.log", [line(number) for number in range(50)]))
    assert first[0] == again[0]


def test_a_folder_that_grew_gives_what_all_of_its_files_give(
    run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    lines = [line(number) for number in range(300)]
    first, second = write_log(tmp_path / "a.log", lines[:200]), write_log(tmp_path / "b.log", lines[200:])
    run_transform(first)
    grown = run_transform(first, second)
    assert run_transform(second, first)[0] == grown[0]
    assert sum(key.startswith("objects/") for key, _ in stores[0].list()) == 2


def test_every_row_read_is_kept_quarantined_or_skipped(
    run_transform: Transform, stores: Stores, tmp_path: Path
) -> None:
    lines = [line(0), line(1, resp_p="70000"), line(2, duration="-1"), "only\tthree\tfields\n", line(4)]
    _, manifest = run_transform(write_log(tmp_path / "conn.log", lines))
    assert (manifest.read, manifest.kept, sum(manifest.quarantined.values())) == (5, 2, 3)
    refused = pl.concat(
        pl.read_parquet(stores[1].get_bytes(stores[1].key(part.uri), sha256=part.sha256))
        for part in manifest.quarantine
    )
    assert refused["raw_line"].to_list() == [9, 10, 11]
    assert refused["reason"].null_count() == 0
    assert dict(refused["reason"].value_counts().iter_rows()) == manifest.quarantined


def test_a_row_points_to_its_line_in_raw(run_transform: Transform, stores: Stores, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(number) for number in range(5)])
    rows = rows_of(run_transform(log), stores, tmp_path)
    text = log.read_text().splitlines()
    for uid, number in rows.select("uid", "raw_line").iter_rows():
        assert uid in text[number - 1]


def test_labels_are_counted_as_written_and_as_normalised(run_transform: Transform, tmp_path: Path) -> None:
    _, manifest = run_transform(write_log(tmp_path / "conn.log", [line(number) for number in range(20)]))
    assert manifest.labels_original == {"Benign": 18, "Malicious": 2}
    assert manifest.labels["BENIGN"] == 18


def test_nothing_that_identifies_is_a_feature(run_transform: Transform, tmp_path: Path) -> None:
    _, manifest = run_transform(write_log(tmp_path / "conn.log", [line(0), line(1)]))
    features = {name for name in manifest.columns if is_feature(name)}
    assert not features & {"ts", "uid", "orig_h", "resp_h", "orig_p", "resp_p", "label", "raw_line"}
    assert {"orig_conns_60s", "resp_peers_600s", "pair_gap_cv_3600s", "orig_bytes"} <= features


def test_no_row_left_is_an_error_with_the_reasons(run_transform: Transform, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(1, resp_p="70000"), line(2, resp_p="70000")])
    with pytest.raises(DataError, match="all 2 rows were refused") as caught:
        run_transform(log)
    assert sum(caught.value.counts.values()) == 2


def test_reasons_have_one_order(run_transform: Transform, tmp_path: Path) -> None:
    changes: list[dict[str, str]] = [
        {"proto": "-"},
        {"resp_h": "x"},
        {"ts": "-5"},
        {"duration": "-1"},
        {"resp_p": "70000"},
    ]
    rows = [line(number, **change) for number, change in enumerate([*changes, changes[0]])]
    reasons = "missing_value 2, bad_address 1, bad_duration 1, bad_port 1, bad_time 1"
    with pytest.raises(DataError, match=rf"\({reasons}\)"):
        run_transform(write_log(tmp_path / "conn.log", rows))


def test_without_behaviour_there_are_no_windows(run_transform: Transform, tmp_path: Path) -> None:
    log = write_log(tmp_path / "conn.log", [line(0), line(1)])
    _, manifest = run_transform(log, spec=TransformationSpec(behaviour=False))
    assert not [name for name in manifest.columns if name.endswith("_60s")]


def test_the_sample_is_what_zeek_writes() -> None:
    assert len(line(0).split("\t")) == len(HEADER.splitlines()[5].split("\t")) - 1


def test_records_are_read_by_the_templates_of_another_file(run_transform: Transform, tmp_path: Path) -> None:
    folder = tmp_path / "netflow"
    folder.mkdir()
    (folder / "a_records.dat").write_bytes(v9(set_of(256, basic() + basic("10.1.0.2"))))
    (folder / "b_templates.dat").write_bytes(v9(set_of(0, template(256, BASIC))))
    _, manifest = run_transform(folder)
    assert (manifest.read, manifest.kept, manifest.quarantined) == (2, 2, {})


def test_records_without_their_templates_are_an_error_with_the_way_out(
    run_transform: Transform, tmp_path: Path
) -> None:
    (tmp_path / "records.dat").write_bytes(v9(set_of(256, basic())))
    with pytest.raises(DataError, match="no_template 1") as caught:
        run_transform(tmp_path / "records.dat")
    assert "give the exporter's templates as well" in caught.value.hint


def test_what_is_told_of_several_logs_in_one_is_what_becomes_of_them(run_transform: Transform, tmp_path: Path) -> None:
    conn = '{"_path": "conn", "ts": 1, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 1, "id.resp_h": "10.0.0.2",'
    conn += ' "id.resp_p": 53, "proto": "udp", "conn_state": "SF"}\n'
    dns = conn.replace('"conn"', '"dns"').replace('"conn_state": "SF"', '"query": "a.test", "qtype_name": "A"')
    (tmp_path / "all.json").write_text(conn + 2 * dns + '{"_path": "x509", "ts": 1, "uid": "C1"}\n')
    (told,) = inspect_sources([str(tmp_path / "all.json")])
    _, made = run_transform(tmp_path / "all.json")
    assert told.skipped == made.skipped
    assert (told.read, told.kept, told.rejected) == (made.read, made.kept, made.quarantined)
    assert "joined:dns" in told.skipped
