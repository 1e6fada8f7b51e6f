"""Laws that every reader keeps, on a small sample of every form of every format."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, META_PREFIX, is_feature
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion.compression import decompress
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.mapped import Mapped
from cybersec_mlops.ingestion.mapping import parse_mapping
from cybersec_mlops.ingestion.reader import REJECTED_ROWS, Head, Reader, Recognition, Refusal, batch_schema
from cybersec_mlops.ingestion.readers import READERS, reader_of
from cybersec_mlops.ingestion.sniff import recognise

SAMPLES = {
    "zeek_conn.log": ("zeek_conn", "tsv", 6),
    "zeek_conn.json": ("zeek_conn", "json", 6),
    "zeek_labelled.log": ("zeek_conn", "tsv", 6),
    "zeek_iot23.log": ("zeek_conn", "tsv", 6),
    "zeek_mixed.json": ("zeek_conn", "json", 6),
    "suricata_eve.json": ("suricata_eve", "json", 6),
    "argus_commas.csv": ("argus", "commas", 5),
    "argus_tabs.csv": ("argus", "tabs", 5),
    "argus_ra.csv": ("argus", "commas", 5),
    "argus_ctu13.csv": ("argus", "commas", 5),
    "cic2017_ml.csv": ("cicflowmeter", "cic2017-ml", 5),
    "cic2017_flows.csv": ("cicflowmeter", "cic2017-flows", 5),
    "cicflowmeter_4.csv": ("cicflowmeter", "cicflowmeter-4", 5),
    "cic2017_improved.csv": ("cicflowmeter", "cic2017-improved", 5),
    "nsl_kdd.txt": ("nsl_kdd", "difficulty", 5),
    "nsl_kdd.arff": ("nsl_kdd", "plain", 5),
    "kdd99.data": ("kdd99", "labelled", 5),
    "nf_v1.csv": ("nf_tables", "v1", 5),
    "nf_v2.csv": ("nf_tables", "v2", 5),
    "nf_v3.csv": ("nf_tables", "v3", 5),
    "unsw_nb15_raw.data": ("unsw_nb15_raw", "no header", 5),
    "unsw_nb15_raw.csv": ("unsw_nb15_raw", "header", 5),
    "unsw_nb15.csv": ("unsw_nb15", "partition", 5),
    "nfdump_long.txt": ("nfdump", "long", 5),
    "nfdump_labelled.txt": ("nfdump", "long", 5),
    "nfdump_quiet.txt": ("nfdump", "biline", 5),
    "nfdump_16.csv": ("nfdump", "csv-1.6", 5),
    "nfdump_17.csv": ("nfdump", "csv-1.7", 5),
    "vpc_default.csv": ("vpc_flow", "default", 5),
    "vpc_cloudwatch.txt": ("vpc_flow", "default", 5),
    "vpc_custom.csv": ("vpc_flow", "custom", 5),
    "canonical.csv": ("canonical", "csv", 5),
    "mapped.csv": ("firewall", "csv", 5),
    "mapped.json": ("firewall", "json", 5),
}
EXAMPLE = Path(__file__).parents[2] / "examples" / "mapping.toml"
MAPPINGS = (Mapped(parse_mapping(EXAMPLE.read_bytes(), source="mapping.toml")),)
"""The format that the example of a mapping makes; it keeps the laws of the others."""
ALL_READERS = {**READERS, **{reader.name: reader for reader in MAPPINGS}}
BINARY = frozenset({"netflow", "pcap"})
"""Formats without lines: they keep the laws in tests of their own."""
HEADED_TEXTS = ("nfdump_long.txt", "nfdump_labelled.txt")
WITH_HEADER = [
    name for name in SAMPLES if not name.endswith((".json", ".txt", ".data", ".arff")) or name in HEADED_TEXTS
]


class Read:
    """Everything that a reader gives for a file."""

    def __init__(self, reader: Reader, data: bytes, batch_bytes: int = 1 << 20) -> None:
        self.batches = list(reader.read(io.BytesIO(data), source="sample", batch_bytes=batch_bytes))
        empty = pl.DataFrame(schema=batch_schema(reader))
        self.rows = pl.concat([empty, *(batch.rows for batch in self.batches)])
        self.rejected = pl.concat([pl.DataFrame(schema=REJECTED_ROWS), *(batch.rejected for batch in self.batches)])
        self.skipped: Counter[str] = Counter()
        for batch in self.batches:
            self.skipped.update(batch.skipped)
        self.count = sum(batch.read for batch in self.batches)

    def assert_same(self, other: Read) -> None:
        assert_frame_equal(self.rows, other.rows)
        assert_frame_equal(self.rejected, other.rejected)
        assert self.skipped == other.skipped


def sample(name: str) -> bytes:
    return (Path(__file__).parent / "samples" / name).read_bytes()


def reader_for(name: str) -> Reader:
    return ALL_READERS[SAMPLES[name][0]]


def rows_in(data: bytes, name: str) -> int:
    """Count the lines that are rows, independently of the readers."""
    lines = data.split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines
    if name.endswith(".log"):
        return sum(not line.removeprefix(BOM).lstrip(b" \t").startswith(b"#") for line in lines)
    return len(lines) - name.endswith((".csv", *HEADED_TEXTS))


@pytest.fixture(params=SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_table_has_each_reader_under_its_name() -> None:
    assert [reader.name for reader in READERS.values()] == list(READERS)
    assert {format_name for format_name, *_ in SAMPLES.values()} | BINARY == set(ALL_READERS)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown format 'nothing'") as caught:
        reader_of("nothing")
    assert all(name in caught.value.hint for name in READERS)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_native_columns_carry_their_format_and_never_hide_a_canonical_one(reader: Reader) -> None:
    prefix = (
        reader.name.split("_")[0]
        .removesuffix("flowmeter")
        .removesuffix("99")
        .replace("nsl", "kdd")
        .replace("suricata", "eve")
    )
    for column, dtype in reader.native_columns.items():
        assert column.removeprefix(META_PREFIX).startswith(f"{prefix}_")
        assert is_feature(column) or column.startswith(META_PREFIX)
        assert dtype in (pl.Float64, pl.String, pl.Boolean) or column.startswith(META_PREFIX)
    assert not reader.native_columns.keys() & {*CONNECTION_SCHEMA, *LABEL_SCHEMA}
    assert reader.shortcut_columns.keys() <= {*reader.native_columns, *CONNECTION_SCHEMA}


@pytest.mark.parametrize(
    ("reader", "columns"),
    [
        ("cicflowmeter", "resp_p cic_fwd_init_window_bytes cic_bwd_init_window_bytes cic_fwd_segment_size_min_bytes"),
        ("unsw_nb15", "unsw_sttl unsw_dttl unsw_ct_state_ttl"),
        ("unsw_nb15_raw", "unsw_sttl unsw_dttl unsw_ct_state_ttl"),
        ("nf_tables", "nf_min_ttl nf_max_ttl"),
        ("suricata_eve", "eve_alerted"),
    ],
)
def test_columns_that_give_the_label_away_are_known(reader: str, columns: str) -> None:
    assert READERS[reader].shortcut_columns.keys() == set(columns.split())


def test_a_sample_is_recognised_by_its_own_reader_alone(name: str) -> None:
    format_name, variant, _ = SAMPLES[name]
    head = Head(sample(name), complete=True)
    answers = {reader.name: reader.recognise(head) for reader in ALL_READERS.values()}
    recognised = {name: answer for name, answer in answers.items() if isinstance(answer, Recognition)}
    assert list(recognised) == [format_name]
    assert recognised[format_name].variant == variant


def test_the_schema_holds_for_every_batch(name: str) -> None:
    reader = reader_for(name)
    for batch in Read(reader, sample(name), batch_bytes=300).batches:
        assert dict(batch.rows.schema) == batch_schema(reader)
        assert dict(batch.rejected.schema) == REJECTED_ROWS
        assert batch.read > 0


def test_every_row_is_accounted_for(name: str) -> None:
    read = Read(reader_for(name), sample(name))
    assert read.rows.height == SAMPLES[name][2]
    assert read.rejected.is_empty()
    assert read.count == rows_in(sample(name), name)


def test_line_numbers_are_those_of_the_file(name: str) -> None:
    lines = sample(name).decode("cp1252").splitlines()
    rows = Read(reader_for(name), sample(name)).rows
    sizes = pl.col("orig_bytes") if not name.startswith("mapped") else pl.lit(None)  # those are in KiB
    for line, port, size in rows.select("raw_line", "orig_p", sizes).iter_rows():
        assert all(str(value) in lines[line - 1] for value in (port, size) if value is not None)


def test_time_is_there_where_it_is_promised(name: str) -> None:
    answer = recognise(Head(sample(name), complete=True), mappings=MAPPINGS)
    assert isinstance(answer, Recognition)
    missing = Read(reader_for(name), sample(name)).rows["ts"].null_count()
    assert missing == (0 if answer.has_time else SAMPLES[name][2])


@pytest.mark.parametrize("batch_bytes", [1, 7, 100, 997, 1500])
def test_rows_do_not_depend_on_the_batches(name: str, batch_bytes: int) -> None:
    reader, data = reader_for(name), damaged(sample(name))
    Read(reader, data, batch_bytes).assert_same(Read(reader, data))


def test_compression_changes_nothing(name: str) -> None:
    data = sample(name)
    packed = gzip.compress(data[:200]) + gzip.compress(data[200:])
    assert decompress(io.BytesIO(packed), source="sample").read() == data


def test_windows_line_ends_change_nothing(name: str) -> None:
    reader, data = reader_for(name), sample(name).replace(b"\r\n", b"\n")
    Read(reader, data.replace(b"\n", b"\r\n")).assert_same(Read(reader, data))


def test_a_byte_order_mark_changes_nothing(name: str) -> None:
    reader, data = reader_for(name), sample(name).removeprefix(BOM)
    assert isinstance(reader.recognise(Head(BOM + data, complete=True)), Recognition)
    Read(reader, BOM + data).assert_same(Read(reader, data))


def test_a_missing_last_newline_changes_nothing(name: str) -> None:
    reader, data = reader_for(name), sample(name).rstrip(b"\r\n")
    Read(reader, data).assert_same(Read(reader, data + b"\n"))


def test_two_files_in_one_give_the_rows_of_both(name: str) -> None:
    reader, data = reader_for(name), sample(name)
    once, twice = Read(reader, data), Read(reader, data + data)
    assert_frame_equal(twice.rows.drop("raw_line"), pl.concat([once.rows, once.rows]).drop("raw_line"))
    assert twice.rejected.is_empty()
    assert twice.count == 2 * once.count + (1 if name.endswith((".csv", *HEADED_TEXTS)) else 0)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n", b"   \n", BOM], ids=repr)
def test_an_empty_file_is_said_to_be_empty(content: bytes) -> None:
    answer = recognise(Head(content, complete=True))
    assert isinstance(answer, Refusal)
    assert answer.message == "is empty"


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_an_empty_file_gives_no_batch(reader: Reader) -> None:
    assert list(reader.read(io.BytesIO(b""), source="sample")) == []


@pytest.mark.parametrize("name", WITH_HEADER)
def test_a_header_without_rows_is_told_apart(name: str) -> None:
    data = sample(name)
    rows = Read(reader_for(name), data).rows["raw_line"]
    header = b"\n".join(data.split(b"\n")[: rows[0] - 1]) + b"\n"
    answer = recognise(Head(header, complete=True), mappings=MAPPINGS)
    assert isinstance(answer, Refusal)
    assert "header and no rows" in answer.message
    assert answer.passable
    assert Read(reader_for(name), header).count == 0


def damaged(data: bytes) -> bytes:
    """Put hopeless lines between the rows."""
    lines = data.splitlines(keepends=True)
    middle = len(lines) - 3
    return b"".join(
        [*lines[:middle], b"garbage\n", b"\n", b"\xff\x00\n", lines[middle], b"9,9\t9\n", *lines[middle + 1 :]]
    )


def test_a_bad_line_never_changes_its_neighbours(name: str) -> None:
    reader, data = reader_for(name), sample(name)
    clean, hurt = Read(reader, data), Read(reader, damaged(data))
    assert_frame_equal(hurt.rows.drop("raw_line"), clean.rows.drop("raw_line"))
    assert hurt.rejected.height == 3
    assert hurt.skipped["blank_line"] == 1
    assert hurt.count == clean.count + 4
    lines = damaged(data).split(b"\n")
    for number, text in hurt.rejected.select("raw_line", "text").iter_rows():
        assert text[:1] == lines[number - 1].decode(errors="replace")[:1]


def test_a_file_cut_anywhere_loses_nothing(name: str) -> None:
    reader, data = reader_for(name), sample(name)
    whole = Read(reader, data)
    first = data.split(b"\n")[: whole.rows["raw_line"][0] - 1]
    start = sum(len(line) + 1 for line in first) + 1
    for end in [*range(start, len(data), max(1, (len(data) - start) // 25)), len(data) - 2, len(data) - 1]:
        read = Read(reader, data[:end])
        assert read.count == rows_in(data[:end], name)
        complete = data[:end].count(b"\n")
        kept = whole.rows.filter(pl.col("raw_line") <= complete)
        assert_frame_equal(read.rows.filter(pl.col("raw_line") <= complete), kept)
        assert read.rows.height + read.rejected.height - kept.height <= 1


def test_a_line_without_end_is_set_aside_in_bounded_memory(name: str) -> None:
    reader, data = reader_for(name), sample(name).rstrip(b"\r\n") + b"\n"
    for batch_bytes in (1 << 16, 1 << 22):
        read = Read(reader, data + b"7" * (3 << 20), batch_bytes)
        assert read.rejected["reason"].to_list() == ["line_too_long"]
        assert read.rejected["text"].to_list() == ["7" * 500]
        assert read.rows.height == SAMPLES[name][2]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_bytes_never_crash_a_reader(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(SAMPLES)))
    content = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + data.draw(st.integers(0, 3))] = data.draw(
            st.one_of(
                st.binary(max_size=4), st.sampled_from([b"\n", b"\t", b",", b'"', b"-", b"\x00", b"#", b"{", b"nan"])
            )
        )
    check_any(bytes(content), reader_for(name))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(ALL_READERS.values())), st.binary(max_size=200), st.sampled_from(["", *SAMPLES]))
def test_arbitrary_bytes_never_crash_a_reader(reader: Reader, content: bytes, name: str) -> None:
    head = b"\n".join(sample(name).split(b"\n")[:9]) + b"\n" if name else b""
    check_any(head + content, reader)


def check_any(content: bytes, reader: Reader) -> None:
    try:
        for some in ALL_READERS.values():
            some.recognise(Head(content, complete=True))
        read = Read(reader, content)
        Read(reader, content, batch_bytes=64).assert_same(read)
    except DataError:
        return
    if reader.name not in BINARY:
        assert read.count <= content.count(b"\n") + 1
    assert read.rows["raw_line"].is_sorted()
    assert read.rows["raw_line"].n_unique() == read.rows.height
    assert not set(read.rows["raw_line"]) & set(read.rejected["raw_line"])
