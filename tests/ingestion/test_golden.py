"""The readers on the real logs beside the project: rows and labels are those of their manifest."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cybersec_mlops.connections import BACKGROUND, BENIGN
from cybersec_mlops.ingestion.compression import decompress
from cybersec_mlops.ingestion.reader import HEAD_BYTES, Head, Recognition, Refusal
from cybersec_mlops.ingestion.readers import READERS
from cybersec_mlops.ingestion.sniff import recognise
from cybersec_mlops.ingestion.zeek_columns import label_name

pytestmark = pytest.mark.shared_data

SharedData = Callable[[str], Path]

EXPECTED = {
    "cicids2017-improved/cicids2017_improved_sample_MonThu.csv": ("cicflowmeter", "cic2017-improved"),
    "cicids2017-raw-excerpt/MachineLearningCVE_f1.csv": ("cicflowmeter", "cic2017-ml"),
    "cicids2017-raw-excerpt/MachineLearningCVE_m1.csv": ("cicflowmeter", "cic2017-ml"),
    "cicids2017-raw-excerpt/MachineLearningCVE_tu1.csv": ("cicflowmeter", "cic2017-ml"),
    "kdd99/kddcup.data_10_percent.gz": ("kdd99", "labelled"),
    "nsl-kdd/KDDTrain+.txt": ("nsl_kdd", "difficulty"),
    "nsl-kdd/KDDTrain+_20Percent.txt": ("nsl_kdd", "difficulty"),
    "unsw-nb15/UNSW_NB15_training-set.csv": ("unsw_nb15", "partition"),
    "zeek-apt29/day1_combined_zeek.log": ("zeek_conn", "json"),
    "zeek-labeled-ctu/CTU-Malware-Capture-Botnet-4/ground_truth/conn.log.labeled": ("zeek_conn", "tsv"),
    "zeek-labeled-strato/001-zeek-scenario-malicious/conn.log": ("zeek_conn", "tsv"),
    "zeek-labeled-strato/001-zeek-scenario-malicious/labeled-conn.log": ("zeek_conn", "tsv"),
    "zeek-labeled-strato/002-zeek-scenario-port-scanning/conn.log": ("zeek_conn", "json"),
    "zeek-labeled-strato/005-zeek-scenario-malicious/conn.log": ("zeek_conn", "tsv"),
    "zeek-labeled-strato/008-zeek-mixed/data/conn.log.labeled": ("zeek_conn", "tsv"),
    "zeek-labeled-strato/010-zeek-mixed/data/conn.log.labeled": ("zeek_conn", "tsv"),
    "zeek-rita/json_with_all_fields/conn.log": ("zeek_conn", "json"),
    "zeek-rita/json_with_all_fields/open_conn.log": ("zeek_conn", "json"),
    "zeek-rita/proxy/conn.log": ("zeek_conn", "tsv"),
    "zeek-rita/proxy_rolling/conn.15:00:00-16:00:00.log.gz": ("zeek_conn", "tsv"),
    "zeek-rita/proxy_rolling/conn.16:00:00-17:00:00.log.gz": ("zeek_conn", "tsv"),
    "zeek-small/conn.json.log": ("zeek_conn", "json"),
    "zeek-small/conn.tab.log": ("zeek_conn", "tsv"),
    "zeek-small/port-scans/horizontal/conn.log": ("zeek_conn", "tsv"),
    "zeek-small/test10-mixed-zeek-dir/conn.log": ("zeek_conn", "tsv"),
    "zeek-zat/conn.log": ("zeek_conn", "tsv"),
    "zeek-zat/json/conn.log": ("zeek_conn", "json"),
}

NOT_ROWS = {"zeek-small/test10-mixed-zeek-dir/conn.log": 1}
"""What the manifest counts and is none: the ``#separator`` line with a tab before it."""

ELSEWHERE = frozenset(
    {
        *(f"argus-binetflow/{name}.binetflow" for name in ("test11-portscan", "test2-malicious", "test5.tabs")),
        "suricata-eve/slips_test6-malicious.eve.json",
    }
)
"""What the tests of its own reader read."""

COLLECTIONS = (
    *("argus-binetflow", "auth-logs", "cicids2017-improved", "cicids2017-raw-excerpt", "kdd99"),
    *("nsl-kdd", "suricata-eve", "unsw-nb15", "zeek-apt29", "zeek-labeled-ctu"),
    *("zeek-labeled-strato", "zeek-rita", "zeek-small", "zeek-wrccdc", "zeek-zat"),
)


@pytest.fixture(scope="module")
def manifest(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("CYBERSEC_MLOPS_TEST_DATA", default)) / "MANIFEST.json"
    if not path.exists():
        pytest.skip(f"{path} is not there: the real logs are not part of the project")
    return {entry["file"]: entry for entry in json.loads(path.read_text())["files"]}


def content(shared_data: SharedData, file: str) -> bytes:
    collection, _, name = file.partition("/")
    with (shared_data(collection) / name).open("rb") as opened:
        return decompress(opened, source=file).read()


@pytest.mark.parametrize("file", EXPECTED)
def test_rows_and_labels_are_those_of_the_manifest(
    file: str, manifest: dict[str, dict[str, Any]], shared_data: SharedData
) -> None:
    data = content(shared_data, file)
    answer = recognise(Head(data[:HEAD_BYTES], complete=len(data) <= HEAD_BYTES))
    assert isinstance(answer, Recognition)
    assert (answer.format, answer.variant) == EXPECTED[file]
    kept, read, originals, names, skipped = 0, 0, Counter[str](), Counter[str](), Counter[str]()
    for batch in READERS[answer.format].read(io.BytesIO(data), source=file, batch_bytes=4 << 20):
        assert batch.rejected.is_empty(), batch.rejected
        kept, read = kept + batch.rows.height, read + batch.read
        skipped.update(batch.skipped)
        originals.update(batch.rows["label_original"].drop_nulls().to_list())
        names.update(batch.rows["label"].drop_nulls().to_list())
        if answer.has_time:
            assert batch.rows["ts"].null_count() == 0
    entry = manifest[file]
    assert read == entry["rows"] - NOT_ROWS.get(file, 0)
    assert kept == read - skipped.total()
    expected = {name.removesuffix("/(empty)"): count for name, count in (entry["label_counts"] or {}).items()}
    assert originals == expected
    assert names[BENIGN] == sum(count for name, count in expected.items() if _benign(name))
    assert names.total() == sum(expected.values())
    streams = entry["checks"].get("streams") if entry["checks"] else None
    if streams:
        assert skipped == {f"other_stream:{name}": count for name, count in streams.items() if name != "conn"}


def _benign(name: str) -> bool:
    return name.split("/")[0].rstrip(".").casefold() in {"benign", "normal"}


def test_every_other_file_is_refused_in_words(shared_data: SharedData) -> None:
    for collection in COLLECTIONS:
        folder = shared_data(collection)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            file = f"{collection}/{path.relative_to(folder)}"
            if file in EXPECTED or file in ELSEWHERE:
                continue
            with path.open("rb") as opened:
                data = decompress(opened, source=file).read(HEAD_BYTES)
            answer = recognise(Head(data, complete=len(data) < HEAD_BYTES))
            assert isinstance(answer, Refusal), file
            assert answer.passable, file
            assert answer.hint, file
            if collection.startswith("zeek") and not path.name.endswith(".config"):
                assert f"{path.name.split('.')[0]}.log" in answer.message, (file, answer.message)


def test_the_same_events_as_text_and_as_json_are_the_same_rows(shared_data: SharedData) -> None:
    """A TSV log written as JSON, as Zeek writes it, reads to the same rows."""
    data = content(shared_data, "zeek-labeled-strato/008-zeek-mixed/data/conn.log.labeled")
    lines = data.decode().splitlines()
    fields, types = (
        next(line for line in lines if line.startswith(word)).split("\t")[1:] for word in ("#fields", "#types")
    )
    records = []
    for line in lines:
        if not line.startswith("#"):
            cells = zip(fields, types, line.split("\t"), strict=True)
            records.append(
                json.dumps({name: _value(kind, text) for name, kind, text in cells if text not in ("-", "(empty)")})
            )
    reader = READERS["zeek_conn"]
    (tsv,) = (batch.rows for batch in reader.read(io.BytesIO(data), source="tsv"))
    (from_json,) = (batch.rows for batch in reader.read(io.BytesIO("\n".join([*records, ""]).encode()), source="json"))
    assert tsv.drop("raw_line").equals(from_json.drop("raw_line"))


def _value(kind: str, text: str) -> object:
    if kind in ("time", "interval"):
        return float(text)
    if kind in ("port", "count"):
        return int(text)
    return text == "T" if kind == "bool" else text


def test_labels_of_the_botnet_capture_have_three_kinds(shared_data: SharedData) -> None:
    data = content(shared_data, "zeek-labeled-strato/010-zeek-mixed/data/conn.log.labeled")
    (rows,) = (batch.rows for batch in READERS["zeek_conn"].read(io.BytesIO(data), source="x"))
    by_kind = dict(rows.group_by("is_attack").agg(pl.len()).iter_rows())
    assert by_kind == {True: 3373, False: 1937, None: 37}
    assert set(rows["label"]) == {label_name("Malicious/External-Attack-to-Device"), BENIGN, BACKGROUND}


@pytest.mark.parametrize(
    ("file", "apart", "duplicates"),
    [
        ("kdd99/kddcup.data_10_percent.gz", "raw_line", 348_435),
        ("unsw-nb15/UNSW_NB15_training-set.csv", "meta_unsw_id", 26_387),
        ("nsl-kdd/KDDTrain+.txt", "raw_line", 0),
    ],
)
def test_rows_that_differ_in_the_file_differ_in_what_is_read(
    file: str, apart: str, duplicates: int, shared_data: SharedData
) -> None:
    data, reader = content(shared_data, file), READERS[EXPECTED[file][0]]
    rows = pl.concat(batch.rows for batch in reader.read(io.BytesIO(data), source=file)).drop({"raw_line", apart})
    assert rows.height - rows.n_unique() == duplicates
