"""Tables by a mapping: the same rows as CSV, JSON and Parquet; what does not fit is told."""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.mapped import Canonical, Mapped
from cybersec_mlops.ingestion.mapping import parse_mapping
from cybersec_mlops.ingestion.reader import Recognition, Refusal
from cybersec_mlops.ingestion.sniff import read_head, recognise

SAMPLES = Path(__file__).parent / "samples"
READER = Mapped(
    parse_mapping((Path(__file__).parents[2] / "examples" / "mapping.toml").read_bytes(), source="mapping.toml")
)


def rows_of(data: bytes, reader: Mapped = READER) -> pl.DataFrame:
    batches = list(reader.read(io.BytesIO(data), source="table"))
    assert not sum(batch.rejected.height for batch in batches)
    return pl.concat(batch.rows for batch in batches)


def as_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def reader_of(toml: str) -> Mapped:
    return Mapped(parse_mapping(toml.encode(), source="mapping.toml"))


def test_the_same_connections_as_csv_json_array_and_parquet_are_the_same_rows() -> None:
    text = (SAMPLES / "mapped.json").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    texts = [{key: str(value) for key, value in one.items() if value is not None} for one in records]
    table = pl.DataFrame(texts)
    expected = rows_of((SAMPLES / "mapped.csv").read_bytes())
    for data in (text.encode(), json.dumps(records, indent=2).encode(), as_parquet(table)):
        assert_frame_equal(rows_of(data).drop("raw_line"), expected.drop("raw_line"))


def test_the_example_reads_as_it_says() -> None:
    rows = rows_of((SAMPLES / "mapped.csv").read_bytes())
    assert rows["ts"][0].isoformat() == "2026-11-23T09:00:00.250000+00:00"
    assert rows["duration_s"].to_list() == [1.25, 0.0, None, 1.0, 1.0]
    assert rows["orig_bytes"].to_list() == [1536, 0, 128, 1_049_088, 3072]
    assert rows["firewall_rtt_s"].to_list() == [0.0125, None, None, 0.001, 0.002]
    assert rows["label"].to_list() == ["BENIGN", "Port scan", "BACKGROUND", "Brute force", None]
    assert rows["label_original"].to_list() == ["clean", "1", "unknown", "bf", None]
    assert rows["raw_line"].to_list() == [2, 3, 4, 5, 6]


def test_rows_of_parquet_are_numbered_and_shown_when_they_are_set_aside() -> None:
    reader = reader_of('name = "x"\n[columns]\na = "orig_h"\np = "orig_p"\n')
    table = pl.DataFrame({"a": ["10.0.0.1", "<script>", "10.0.0.3", "y" * 5000], "p": [1, 2, 70000, 4]})
    (batch,) = reader.read(io.BytesIO(as_parquet(table)), source="t")
    assert batch.rows["raw_line"].to_list() == [1]
    assert batch.rejected.select("raw_line", "reason", "field").rows() == [
        (2, "bad_address", "orig_h"),
        (3, "bad_port", "orig_p"),
        (4, "text_too_long", "orig_h"),
    ]
    assert batch.rejected["text"][1] == '{"orig_h": "10.0.0.3", "orig_p": 70000}'


def test_a_file_that_lacks_columns_is_told_which_are_there() -> None:
    head = read_head(io.BytesIO(b"Start;End;Src;Source Port;Destination IP;Destination Port;Protocol\n1;2;3;4;5;6;7\n"))
    answer = recognise(head, mappings=[READER])
    assert isinstance(answer, Refusal)
    assert '"Source IP"' in answer.message
    assert '"Src"' in answer.message
    assert "optional = true" in answer.hint


def test_a_table_of_something_else_is_passed_over_in_a_folder() -> None:
    answer = READER.recognise(read_head(io.BytesIO(b"a;b;c\n1;2;3\n")))
    assert isinstance(answer, Refusal)
    assert answer.passable


def test_nested_columns_are_refused_where_they_are_needed_and_else_ignored() -> None:
    table = pl.DataFrame({"a": ["10.0.0.1"], "tags": [["x"]]})
    flat = reader_of('name = "x"\n[columns]\na = "orig_h"\n')
    answer = flat.recognise(read_head(io.BytesIO(as_parquet(table))))
    assert isinstance(answer, Recognition)
    assert answer.ignored == ("tags",)
    nested = reader_of('name = "x"\n[columns]\na = "orig_h"\ntags = {native = "tags", type = "text"}\n')
    refusal = nested.recognise(read_head(io.BytesIO(as_parquet(table))))
    assert isinstance(refusal, Refusal)
    assert '"tags" is nested' in refusal.message
    with pytest.raises(DataError, match='"tags" is nested'):
        list(nested.read(io.BytesIO(as_parquet(table)), source="t"))


def test_a_table_without_a_header_has_the_names_of_the_mapping() -> None:
    reader = reader_of('name = "x"\nheader = false\nnames = ["a", "b", "c"]\n[columns]\na = "orig_h"\nc = "orig_p"\n')
    data = b"10.0.0.1,junk,1\n10.0.0.2,junk,2\n"
    assert isinstance(reader.recognise(read_head(io.BytesIO(data))), Recognition)
    assert reader.recognise(read_head(io.BytesIO(b"1,2\n"))) is None
    rows = rows_of(data, reader).select("raw_line", "orig_h", "orig_p").rows()
    assert rows == [(1, "10.0.0.1", 1), (2, "10.0.0.2", 2)]


def test_what_an_export_has_reads_without_a_mapping() -> None:
    rows = rows_of((SAMPLES / "canonical.csv").read_bytes(), Canonical())
    silver = rows.with_columns(dataset=pl.lit("x"), resp_port_class=pl.lit("system"), raw_sha256=pl.lit("ab"))
    data = as_parquet(silver)
    answer = recognise(read_head(io.BytesIO(data)))
    assert isinstance(answer, Recognition)
    assert (answer.format, answer.variant, answer.has_time) == ("canonical", "parquet", True)
    assert_frame_equal(rows_of(data, Canonical()).drop("raw_line"), rows.drop("raw_line"))
    assert rows["label_original"].to_list() == ["Benign/Google", "Background", "Malicious/Port scan", None, "Benign"]


def test_an_unknown_parquet_file_is_told_its_columns_and_the_way_out() -> None:
    answer = recognise(read_head(io.BytesIO(as_parquet(pl.DataFrame({"a": [1], "b": [2]})))))
    assert isinstance(answer, Refusal)
    assert "a Parquet table of 2 columns: a, b" in answer.message
    assert "drafts a mapping" in answer.hint
