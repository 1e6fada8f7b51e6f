"""The JSON form of conn.log."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cybersec_mlops.ingestion import zeek_json
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.reader import Batch
from cybersec_mlops.ingestion.zeek_conn import ZeekConn

SAMPLES = Path(__file__).parent / "samples"
ROW: dict[str, Any] = {
    "ts": 1718000000.5,
    "uid": "C1",
    "id.orig_h": "192.0.2.1",
    "id.orig_p": 1024,
    "id.resp_h": "192.0.2.2",
    "id.resp_p": 80,
    "proto": "tcp",
    "conn_state": "SF",
    "local_orig": True,
}


def read(*records: Any, batch_bytes: int = 1 << 20) -> Batch:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    data = "".join(line + "\n" for line in lines).encode(errors="surrogateescape")
    (batch,) = ZeekConn().read(io.BytesIO(data), source="conn.log", batch_bytes=batch_bytes)
    return batch


def renamed(record: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("id.", "id_"): value for key, value in record.items()}


def test_the_same_events_as_text_and_as_json_are_the_same_rows() -> None:
    (tsv,) = ZeekConn().read(io.BytesIO((SAMPLES / "zeek_conn.log").read_bytes()), source="a")
    (from_json,) = ZeekConn().read(io.BytesIO((SAMPLES / "zeek_conn.json").read_bytes()), source="b")
    (mixed,) = ZeekConn().read(io.BytesIO((SAMPLES / "zeek_mixed.json").read_bytes()), source="c")
    assert_frame_equal(tsv.rows.drop("raw_line"), from_json.rows.drop("raw_line"))
    assert_frame_equal(tsv.rows.drop("raw_line"), mixed.rows.drop("raw_line"))


def test_absent_keys_are_null() -> None:
    row = read(ROW).rows.row(0, named=True)
    assert row["local_orig"] is True
    assert [row[name] for name in ("duration_s", "orig_bytes", "service", "local_resp", "label")] == [None] * 5


@pytest.mark.parametrize("first", [ROW, renamed(ROW)], ids=["dots", "underscores"])
def test_spellings_may_change_within_a_file(first: dict[str, Any]) -> None:
    labels = {"label": "Malicious", "detailed-label": "DDoS"}
    batch = read(first, ROW, renamed(ROW), {**ROW, **labels}, {**renamed(ROW), "label": "Benign"})
    assert batch.rows["orig_h"].to_list() == ["192.0.2.1"] * 5
    assert batch.rows["label"].to_list() == [None, None, None, "DDoS", "BENIGN"]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1718000000.123456, "2024-06-10 06:13:20.123456+00:00"),
        (1718000000, "2024-06-10 06:13:20+00:00"),
        ("2024-06-10T06:13:20.123456Z", "2024-06-10 06:13:20.123456+00:00"),
        ("2024-06-10T08:13:20+02:00", "2024-06-10 06:13:20+00:00"),
        ("2024-06-10T06:13:20.123456", "2024-06-10 06:13:20.123456+00:00"),
    ],
)
def test_times_are_numbers_or_iso(time: object, expected: str) -> None:
    for records in ([{**ROW, "ts": time}, ROW], [ROW, {**ROW, "ts": time}]):
        batch = read(*records)
        assert expected in [str(value) for value in batch.rows["ts"]]
        assert batch.rows.height == 2


@pytest.mark.parametrize("time", [1718000000123, 1718000000123.0, "1718000000123"])
def test_times_may_be_milliseconds_as_the_sensor_writes_them_on_request(time: object) -> None:
    wrong = (1718000000123456, 253402300799, "9999-12-31T23:59:59Z")
    batch = read({**ROW, "ts": time}, ROW, *({**ROW, "ts": one} for one in wrong))
    assert [str(value) for value in batch.rows["ts"]] == [
        "2024-06-10 06:13:20.123000+00:00",
        "2024-06-10 06:13:20.500000+00:00",
    ]
    assert batch.rejected["detail"].to_list() == [f'is "{one}", expected a time from 1970 to 2099' for one in wrong]


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"ts": "yesterday"}, "bad_time", 'is "yesterday", expected seconds since 1970 or ISO 8601'),
        ({"ts": None}, "missing_value", "is missing, expected a value"),
        ({"id.orig_p": "http"}, "bad_port", 'is "http", expected a port 0-65535'),
        ({"id.orig_p": 70000}, "bad_port", 'is "70000", expected a port 0-65535'),
        ({"id.orig_p": [1]}, "bad_port", 'is "[1]", expected a port 0-65535'),
        ({"orig_bytes": 10**20}, "bad_count", f'is "{10**20}", expected a count of 0 or more'),
        ({"orig_bytes": 1.5}, "bad_count", 'is "1.5", expected a count of 0 or more'),
        ({"local_orig": "maybe"}, "bad_boolean", 'is "maybe", expected T or F'),
        ({"proto": None}, "missing_value", "is missing, expected a value"),
    ],
)
def test_a_wrong_value_is_told_with_line_and_field(change: dict[str, Any], reason: str, detail: str) -> None:
    batch = read(ROW, {**ROW, **change}, ROW)
    assert batch.rows["raw_line"].to_list() == [1, 3]
    assert batch.rejected.select("raw_line", "reason", "detail").rows() == [(2, reason, detail)]


@pytest.mark.parametrize(
    "line",
    [
        *('{"ts":', "null", "5", "[]", '"text"', '{"ts":1}{"ts":2}', '{"ts":NaN}', "{'ts':1}", '{"ts":1e999}', "{,}"),
        *('{"a":"\udcff"}', '{"a":' * 5000 + "1" + "}" * 5000, "{" * 9000 + "}"),
    ],
)
def test_a_line_that_is_no_object_is_set_aside_alone(line: str) -> None:
    batch = read(ROW, line, ROW, line)
    assert batch.rows["raw_line"].to_list() == [1, 3]
    assert batch.rejected["raw_line"].to_list() == [2, 4]
    assert set(batch.rejected["reason"]) <= {"not_json", "not_utf8"}


def test_blank_lines_do_not_shift_the_numbers() -> None:
    batch = read(ROW, "", "  ", ROW, "\t", {**ROW, "proto": None})
    assert batch.rows["raw_line"].to_list() == [1, 4]
    assert batch.rejected["raw_line"].to_list() == [6]
    assert batch.skipped == {"blank_line": 3}


@pytest.mark.parametrize("beside", [{}, {"orig_bytes": "many"}], ids=["alone", "beside a wrong value"])
def test_values_may_have_the_type_of_the_table_that_the_log_went_through(beside: dict[str, Any]) -> None:
    plain = ROW | {"duration": 0.5, "orig_bytes": 20, "local_resp": False}
    texts = {
        key: {True: "T", False: "F"}.get(value, value) if key.startswith("local") else str(value)
        for key, value in plain.items()
    }
    floats = {key: float(value) if type(value) is int else value for key, value in plain.items()}
    unset = ROW | {"duration": "-", "orig_bytes": "", "service": "-", "history": "(empty)", "local_resp": ""}
    found = read(plain, texts, floats, *([ROW | beside] if beside else []), unset, ROW)
    rows = found.rows.drop("raw_line")
    assert rows[:3].unique().height == 1
    assert rows[3].equals(rows[4])
    assert found.rejected["detail"].to_list() == ['is "many", expected a count of 0 or more'] * len(beside)


@pytest.mark.parametrize("key", ["_path", "@stream"])
def test_other_logs_in_the_file_are_counted_by_name(key: str) -> None:
    dns = {"ts": 1.0, "uid": "C1", "proto": "udp", "query": "example.org", "service": ["odd"]}
    batch = read({key: "dns", **dns}, {key: "conn", **ROW}, {key: "x\x1b[31m", "id": 5}, {key: "dns"})
    assert batch.rows["raw_line"].to_list() == [2]
    assert batch.skipped == {"other_stream:dns": 2, "other_stream:x\\x1b[31m": 1}


def test_a_log_of_connections_may_have_any_name_as_in_the_tsv_form() -> None:
    batch = read(*({"_path": name, **ROW} for name in ("conn", "conn-dmz", "conn_red", "conn_long", "dns")))
    assert batch.rows["raw_line"].to_list() == [1, 2, 3]
    assert batch.skipped == {"other_stream:conn_long": 1, "other_stream:dns": 1}


def test_a_log_of_another_name_may_have_the_other_spelling_of_hosts() -> None:
    underscored = {name.replace(".", "_"): value for name, value in ROW.items()}
    batch = read({"_path": "conn", **ROW}, {"_path": "conn_red", **underscored}, {"_path": "ntp", "ts": 1.0})
    assert batch.rows["raw_line"].to_list() == [1, 2]
    assert batch.rows["orig_h"].null_count() == 0
    assert batch.skipped == {"other_stream:ntp": 1}


def test_a_record_without_anything_of_a_connection_is_set_aside() -> None:
    dns = {key: ROW[key] for key in ROW if key not in ("conn_state", "local_orig")}
    batch = read(ROW, {**dns, "query": "example.org"})
    assert batch.rows.height == 1
    assert batch.rejected["reason"].to_list() == ["not_a_connection"]


def test_labels_are_read_in_all_their_spellings() -> None:
    spellings = ("detailedlabel", "detailed-label", "detailed_label")
    batch = read(
        *({**ROW, "label": "Malicious", spelling: "C&C"} for spelling in spellings), {**ROW, "label": "(empty)"}
    )
    assert batch.rows["label"].to_list() == ["C&C"] * 3 + [None]
    assert batch.rows["label_original"].to_list() == ["Malicious/C&C"] * 3 + [None]


ODD = st.sampled_from(
    [
        b"\r",
        b"\0",
        b"\t",
        b"\x01",
        b"\x0c",
        b"\xff",
        b"\xc3\xa4",
        BOM,
        b" ",
        b"\n",
        b"\\",
        b"\\u0000",
        b'"',
        b"{}",
        b"-",
        b"x" * 600,
    ]
)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(st.sampled_from([ROW, {**ROW, "id.resp_p": 70000}, {**ROW, "uid": "Ä"}]), min_size=1, max_size=4),
    ends=st.sampled_from([b"\n", b"\r\n"]),
    odd=st.lists(st.tuples(st.integers(0, 900), ODD), max_size=3),
)
def test_lines_that_are_not_looked_at_give_what_those_do_that_are(
    rows: list[dict[str, Any]], ends: bytes, odd: list[tuple[int, bytes]]
) -> None:
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + ends for row in rows)
    for place, piece in odd:
        data = data[: place % len(data)] + piece + data[place % len(data) :]
    with applied(Limits(max_line_bytes=500)):
        found = batches(data)
        with pytest.MonkeyPatch.context() as each_line:
            each_line.setattr(zeek_json, "_parse_plain", lambda *_: None)
            expected = batches(data)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_frame_equal(one.rows, other.rows)
        assert_frame_equal(one.rejected, other.rejected)
        assert one.skipped == other.skipped


def batches(data: bytes) -> list[Batch]:
    return list(ZeekConn().read(io.BytesIO(data), source="conn.log"))
