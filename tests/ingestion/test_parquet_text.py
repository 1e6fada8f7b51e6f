"""Tables of known formats as Parquet."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import parquet
from cybersec_mlops.ingestion.inspect import inspect_sources
from cybersec_mlops.ingestion.parquet_text import read_with
from cybersec_mlops.ingestion.reader import Batch, Recognition, Refusal
from cybersec_mlops.ingestion.readers import reader_of
from cybersec_mlops.ingestion.sniff import read_head, recognise

SAMPLES = Path(__file__).parent / "samples"
TABLES = [
    *("argus_commas.csv", "argus_ctu13.csv", "argus_ra.csv", "vpc_custom.csv", "unsw_nb15.csv", "unsw_nb15_raw.csv"),
    *("cic2017_flows.csv", "cic2017_improved.csv", "cic2017_ml.csv", "cicflowmeter_4.csv"),
    *("nf_v1.csv", "nf_v2.csv", "nf_v3.csv"),
]


def table(name: str) -> pl.DataFrame:
    """Read a sample as pandas would: with types where they fit, numbers that have gaps as fractions."""
    data = (SAMPLES / name).read_bytes()
    text = data.decode("cp1252" if name == "cic2017_ml.csv" else "utf-8-sig").encode()
    frame = pl.read_csv(text, infer_schema_length=None, truncate_ragged_lines=True)
    gaps = [one.name for one in frame if one.dtype == pl.Int64 and one.null_count()]
    return frame.with_columns(pl.col(gaps).cast(pl.Float64))


def as_parquet(frame: pl.DataFrame) -> io.BytesIO:
    file = io.BytesIO()
    frame.write_parquet(file)
    file.seek(0)
    return file


def recognised(file: io.BytesIO) -> Recognition:
    answer = recognise(read_head(file))
    file.seek(0)
    assert isinstance(answer, Recognition), answer.message
    return answer


def read(file: io.BytesIO) -> Batch:
    (batch,) = read_with(reader_of(recognised(file).format), file, source="table.parquet")
    return batch


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_the_rows_that_it_gives_as_csv(name: str) -> None:
    frame = table(name)
    text = recognise(read_head(io.BytesIO((SAMPLES / name).read_bytes())))
    assert isinstance(text, Recognition)
    found = recognised(as_parquet(frame))
    assert (found.format, found.variant) == (text.format, f"{text.variant}, parquet")
    csv = io.BytesIO((SAMPLES / name).read_bytes())
    (expected,) = reader_of(text.format).read(csv, source="table.csv")
    batch = read(as_parquet(frame))
    assert batch.rows.drop("raw_line", "label_original").equals(expected.rows.drop("raw_line", "label_original"))
    assert batch.rows["raw_line"].to_list() == [line - 1 for line in expected.rows["raw_line"]]  # of the header
    assert (batch.skipped, batch.rejected.height) == (expected.skipped, 0)


def test_times_that_are_times_are_read_in_the_zone_of_the_option() -> None:
    frame = table("cic2017_improved.csv")
    times = frame["Timestamp"].str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns")
    batch = read(as_parquet(frame.with_columns(times)))
    assert batch.rows["ts"].equals(read(as_parquet(frame)).rows["ts"])


def test_what_cannot_be_is_quarantined_with_the_number_of_its_row() -> None:
    frame = table("nf_v2.csv").with_columns(pl.Series("L4_SRC_PORT", [1, 70_000, 2, 3, 4]))
    batch = read(as_parquet(frame))
    assert batch.rejected.select("raw_line", "reason").rows() == [(2, "bad_port")]
    assert batch.rows["raw_line"].to_list() == [1, 3, 4, 5]


def test_texts_with_line_breaks_quotes_and_no_end_keep_to_their_row() -> None:
    texts = ["a\nb", "", 'say "no", now', "x" * (parquet.MAX_TEXT_BYTES + 1), "\u2028"]
    frame = table("cic2017_improved.csv").with_columns(pl.Series("Label", texts))
    batch = read(as_parquet(frame))
    assert batch.read == 5
    assert batch.rejected.select("raw_line", "reason").rows() == [(4, "ragged_row")]
    assert batch.rejected["text"].to_list() == ["a text of more than 4096 bytes"]
    assert batch.rows["raw_line"].to_list() == [1, 2, 3, 5]
    assert batch.rows["label_original"].to_list() == ["a b", None, 'say "no", now', " "]


def test_columns_that_are_nested_and_the_index_of_pandas_are_left_out() -> None:
    frame = table("nf_v1.csv").with_columns(__index_level_0__=pl.lit(1), nested=pl.lit([1, 2]))
    file = as_parquet(frame)
    assert recognised(file).ignored == ()
    assert read(file).rows.height == 5


def test_a_table_of_no_known_columns_is_refused_as_before() -> None:
    answer = recognise(read_head(as_parquet(pl.DataFrame({"a": [1], "b": [2]}))))
    assert isinstance(answer, Refusal)
    assert "a Parquet table of 2 columns: a, b" in answer.message


def test_damage_behind_a_sound_footer_is_an_error_that_names_the_file() -> None:
    data = bytearray(as_parquet(table("nf_v1.csv")).getvalue())
    data[4:200] = bytes(196)
    with pytest.raises(DataError, match=r"^table\.parquet: a Parquet file"):
        list(read_with(reader_of("nf_tables"), io.BytesIO(bytes(data)), source="table.parquet"))


def test_more_rows_than_a_batch_are_numbered_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 2)
    assert read(as_parquet(table("nf_v1.csv"))).rows["raw_line"].to_list() == [1, 2, 3, 4, 5]


def test_dictionaries_of_texts_are_read_as_their_texts(tmp_path: Path) -> None:
    frame = table("cic2017_improved.csv").with_columns(pl.col("Label").cast(pl.Categorical))
    pq.write_table(frame.to_arrow(), tmp_path / "cic.parquet")
    (found,) = inspect_sources([str(tmp_path / "cic.parquet")])
    assert (found.status, found.format, found.kept) == ("usable", "cicflowmeter", 5)
