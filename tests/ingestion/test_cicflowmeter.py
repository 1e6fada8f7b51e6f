"""CICFlowMeter's tables, with all their warts."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.cicflowmeter import CICFlowMeter, label_name, parse_times
from cybersec_mlops.ingestion.reader import Batch, Head, Recognition, Refusal

SAMPLES = Path(__file__).parent / "samples"
FLOWS = (SAMPLES / "cic2017_flows.csv").read_text()
IMPROVED = (SAMPLES / "cic2017_improved.csv").read_text()


def read(text: str | bytes, reader: CICFlowMeter | None = None) -> Batch:
    data = text if isinstance(text, bytes) else text.encode()
    (batch,) = (reader or CICFlowMeter()).read(io.BytesIO(data), source="flows.csv")
    return batch


def changed(column: str, value: str, text: str = IMPROVED) -> Batch:
    """Read a sample whose second row has another value in a column."""
    lines = text.splitlines()
    names, cells = [name.strip() for name in lines[0].split(",")], lines[2].split(",")
    cells[names.index(column)] = value
    lines[2] = ",".join(cells)
    return read("\n".join(lines) + "\n")


def recognise(text: str) -> Recognition | Refusal | None:
    return CICFlowMeter().recognise(Head(text.encode(), complete=True))


def test_the_sample_reads_to_what_it_says() -> None:
    row = read(IMPROVED).rows.row(0, named=True)
    expected = {
        "orig_h": "192.0.2.10",
        "orig_p": 50123,
        "resp_h": "198.51.100.7",
        "resp_p": 443,
        "proto": "tcp",
        "duration_s": 1.25,
        "orig_pkts": 20,
        "resp_pkts": 40,
        "orig_bytes": 1200,
        "resp_bytes": 45000,
        "label": "BENIGN",
        "is_attack": False,
        "raw_line": 2,
        "uid": None,
        "orig_ip_bytes": None,
        "cic_fwd_header_length_bytes": 400.0,
        "cic_fwd_init_window_bytes": 8192.0,
        "meta_cic_id": "100",
    }
    assert {name: row[name] for name in expected} == expected
    assert str(row["ts"]) == "2024-03-05 09:15:00.590705+00:00"


def test_every_variant_gives_the_same_quantities() -> None:
    names = ["duration_s", "orig_pkts", "orig_bytes", "resp_p", "cic_flow_packets_per_s", "cic_bwd_header_length_bytes"]
    files = ("cic2017_ml.csv", "cic2017_flows.csv", "cicflowmeter_4.csv", "cic2017_improved.csv")
    first, *others = (read((SAMPLES / file).read_bytes()).rows.select(names) for file in files)
    assert all(other.equals(first) for other in others)


def test_of_a_name_that_is_there_twice_the_first_counts() -> None:
    header, *rows = (SAMPLES / "cic2017_ml.csv").read_text(encoding="cp1252").splitlines()
    names = [name.strip() for name in header.split(",")]
    first = names.index("Fwd Header Length")
    cells = rows[0].split(",")
    cells[names.index("Fwd Header Length", first + 1)] = "7"
    found = read("\n".join([header, ",".join(cells)]) + "\n").rows["cic_fwd_header_length_bytes"].to_list()
    assert found == [float(cells[first])] != [7.0]


def test_columns_that_a_variant_lacks_are_null() -> None:
    rows = read((SAMPLES / "cic2017_ml.csv").read_bytes()).rows
    assert [rows[name].null_count() for name in ("ts", "orig_h", "proto", "cic_tcp_time_us")] == [5] * 4


def test_infinite_and_impossible_values_become_null_and_are_counted() -> None:
    batch = read(FLOWS)
    assert batch.rows["cic_flow_packets_per_s"].to_list()[2] is None
    assert batch.rows["cic_flow_bytes_per_s"].to_list()[2] is None
    assert batch.rows["cic_fwd_header_length_bytes"].to_list()[4] is None
    assert batch.nulled["cic_fwd_init_window_bytes"] == 2
    assert batch.nulled["cic_fwd_header_length_bytes"] == 1
    finite = batch.rows.select(pl.col(pl.Float64).is_finite().all() & (pl.col(pl.Float64) >= 0).all()).row(0)
    assert all(finite)


@pytest.mark.parametrize("value", ["-1", "nan", "NaN", "inf", "Infinity", "-Infinity", ""])
def test_a_measure_that_is_not_known_is_null(value: str) -> None:
    batch = changed("Bwd Init Win Bytes", value)
    assert batch.rows["cic_bwd_init_window_bytes"].to_list()[1] is None
    assert batch.rejected.is_empty()


@pytest.mark.parametrize(
    ("column", "value", "reason", "field"),
    [
        ("Flow Duration", "-1", "bad_duration", "duration_s"),
        ("Flow Duration", "Infinity", "bad_duration", "duration_s"),
        ("Flow Duration", "", "missing_value", "duration_s"),
        ("Dst Port", "70000", "bad_port", "resp_p"),
        ("Dst Port", "80.5", "bad_port", "resp_p"),
        ("Src Port", "http", "bad_port", "orig_p"),
        ("Total Fwd Packet", "-2", "bad_count", "orig_pkts"),
        ("Total Fwd Packet", "1.5", "bad_count", "orig_pkts"),
        ("Protocol", "256", "bad_protocol", "proto"),
        ("Timestamp", "soon", "bad_time", "ts"),
        ("Timestamp", "9999-01-01 00:00:00", "bad_time", "ts"),
        ("Timestamp", "", "missing_value", "ts"),
        ("Src IP", "=HYPERLINK(1)", "bad_address", "orig_h"),
        ("Idle Min", "a lot", "bad_number", "cic_idle_min_us"),
    ],
)
def test_a_row_that_cannot_be_is_rejected(column: str, value: str, reason: str, field: str) -> None:
    batch = changed(column, value)
    assert batch.rows.height == 4
    ((line, found, where, detail, _),) = batch.rejected.rows()
    assert (line, found, where) == (3, reason, field)
    assert f'"{value}"' in detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2017-07-03 11:57:51.590705", "2017-07-03T11:57:51.590705"),
        ("2017-07-03 11:57:51", "2017-07-03T11:57:51"),
        ("2017-07-03T11:57:51.5", "2017-07-03T11:57:51.500"),
        ("7/7/2017 3:30", "2017-07-07T15:30:00"),
        ("7/7/2017 8:59", "2017-07-07T08:59:00"),
        ("03/07/2017 12:01:02", "2017-07-03T12:01:02"),
        ("25/7/2017 1:00", "2017-07-25T13:00:00"),
        ("05/03/2024 02:30:10 PM", "2024-03-05T14:30:10"),
        ("05/03/2024 12:30:10 AM", "2024-03-05T00:30:10"),
        (" 05/03/2024 02:30:10 AM ", "2024-03-05T02:30:10"),
        ("05/03/2024 02:30:10 p. m.", "2024-03-05T14:30:10"),
        ("05/03/2024 02:30:10 a.\u00a0m.", "2024-03-05T02:30:10"),
        ("05/03/2024 02:30:10 \u4e0b\u5348", "2024-03-05T14:30:10"),
        ("05/03/2024 02:30:10 pm", "2024-03-05T14:30:10"),
        ("13:00", None),
        ("2/30/2017 3:30", None),
        (None, None),
    ],
)
def test_times_in_all_their_forms(text: str | None, expected: str | None) -> None:
    (found,) = parse_times(pl.Series([text], dtype=pl.String)).dt.replace_time_zone(None)
    (wanted,) = pl.Series([expected], dtype=pl.String).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us")
    assert found == wanted


def test_times_of_several_forms_do_not_disturb_each_other() -> None:
    found = parse_times(pl.Series(["7/7/2017 3:30", None, "2017-07-07 03:30:00", "x", "07/07/2017 03:30:00 AM"]))
    assert found.dt.hour().to_list() == [15, None, 3, None, 3]


def test_the_zone_of_the_times_can_be_given() -> None:
    rows = read(IMPROVED, CICFlowMeter("America/Moncton")).rows
    assert str(rows["ts"][0]) == "2024-03-05 13:15:00.590705+00:00"
    answer = CICFlowMeter("Europe/Prague").recognise(Head(IMPROVED.encode(), complete=True))
    assert isinstance(answer, Recognition)
    assert "Europe/Prague" in answer.notes[0]


@pytest.mark.parametrize(
    ("written", "told"),
    [("5/3/2024 3:30", True), ("05/03/2024 03:30:00", True), ("05/03/2024 03:30:00 PM", False), ("", False)],
)
def test_a_clock_of_twelve_hours_that_does_not_say_which_half_is_told(written: str, told: bool) -> None:
    data = IMPROVED.replace("2024-03-05 09:15:00.590705", written).encode()
    answer = CICFlowMeter().recognise(Head(data, complete=True))
    assert isinstance(answer, Recognition)
    assert ("AM" in str(answer.notes)) == told


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "\0"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(ConfigError, match="unknown timezone"):
        CICFlowMeter(zone)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("BENIGN", "BENIGN"),
        ("Benign", "BENIGN"),
        ("DoS slowloris", "DoS Slowloris"),
        ("Web Attack \x96 Sql Injection", "Web Attack - SQL Injection"),
        ("Infilteration", "Infiltration"),
        ("DoS attacks-Hulk", "DoS Hulk"),
        ("Brute Force -Web", "Web Attack - Brute Force"),
        ("DDOS attack-HOIC", "DDoS attack-HOIC"),
        ("0", "BENIGN"),
        ("FTP-Patator - Attempted", "BENIGN"),
        ("Web Attack - XSS - Attempted", "BENIGN"),
        ("NeedManualLabel", None),
        ("Something New", "Something New"),
    ],
)
def test_labels_have_one_spelling(text: str, label: str | None) -> None:
    assert label_name(text) == label


@pytest.mark.parametrize("dash", [b"\x96", b"\xef\xbf\xbd", "\u2013".encode(), b"-"], ids=repr)
def test_a_broken_dash_reads_in_every_encoding(dash: bytes) -> None:
    data = FLOWS.encode().replace("\ufffd".encode(), dash)
    batch = read(data)
    assert batch.rows["label"].to_list()[3] == "Web Attack - XSS"
    assert batch.rejected.is_empty()


def test_header_rows_within_the_file_are_counted() -> None:
    lines = FLOWS.splitlines(keepends=True)
    batch = read("".join([*lines[:3], lines[0], *lines[3:], lines[0]]))
    assert batch.rows.height == 5
    assert batch.skipped == {"repeated_header": 2}


def test_quoted_values_are_values() -> None:
    quoted = "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in IMPROVED.splitlines()) + "\n"
    assert isinstance(recognise(quoted), Recognition)
    assert read(quoted).rows.equals(read(IMPROVED).rows)


def test_further_columns_are_told_and_not_read() -> None:
    text = "".join(f"{line},{number or 'Extra'}\n" for number, line in enumerate(IMPROVED.splitlines()))
    answer = recognise(text)
    assert isinstance(answer, Recognition)
    assert answer.ignored == ("Extra",)
    assert read(text).rows.equals(read(IMPROVED).rows)


def test_a_table_that_is_nearly_one_says_what_is_missing() -> None:
    answer = recognise(IMPROVED.replace("Idle Max", "Idle Most"))
    assert isinstance(answer, Refusal)
    assert "missing Idle Max; not known: Idle Most" in answer.message
    assert not answer.passable


def test_a_table_without_labels_is_read() -> None:
    text = IMPROVED.replace(",Label,", ",Nothing,")
    answer = recognise(text)
    assert isinstance(answer, Recognition)
    assert "labelled" not in answer.notes
    assert read(text).rows["label"].null_count() == 5


def test_the_python_port_is_refused_since_its_unit_is_not_known() -> None:
    answer = recognise(
        "src_ip,dst_ip,timestamp,flow_duration,tot_fwd_pkts,totlen_fwd_pkts,flow_iat_mean\na,b,c,1,1,1,1\n"
    )
    assert isinstance(answer, Refusal)
    assert "seconds or microseconds" in answer.message
    assert 'unit = "s" or "us"' in answer.hint
    assert recognise("flow_duration,tot_fwd_pkts\n1,1\n") is None
