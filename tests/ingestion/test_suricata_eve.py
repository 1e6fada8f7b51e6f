"""Suricata's EVE log."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion.reader import HEAD_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.readers import reader_of
from cybersec_mlops.ingestion.suricata_eve import SuricataEVE

SAMPLE = (Path(__file__).parent / "samples" / "suricata_eve.json").read_bytes()
RECORDS = [json.loads(line) for line in SAMPLE.splitlines()]
FLOW: dict[str, Any] = RECORDS[1]


def read(data: bytes, timezone: str = "UTC", batch_bytes: int = 1 << 20) -> Batch:
    batches = list(SuricataEVE(timezone).read(io.BytesIO(data), source="eve.json", batch_bytes=batch_bytes))
    skipped: Counter[str] = Counter()
    for batch in batches:
        skipped.update(batch.skipped)
    return Batch(pl.concat([b.rows for b in batches]), pl.concat([b.rejected for b in batches]), dict(skipped))


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def changed(**changes: Any) -> dict[str, Any]:
    """Return a flow record with other values; those of the nested ``flow`` as ``flow_...``."""
    inner = {name.removeprefix("flow_"): value for name, value in changes.items() if name.startswith("flow_")}
    outer = {name: value for name, value in changes.items() if not name.startswith("flow_")}
    return {**FLOW, "flow": {**FLOW["flow"], **inner}, **outer}


def test_a_flow_record_becomes_a_connection() -> None:
    row = read(SAMPLE).rows.row(0, named=True)
    assert {name: value for name, value in row.items() if value is not None} == {
        "ts": datetime(2026, 3, 2, 8, 0, 1, tzinfo=UTC),
        "uid": "9000000000000001",
        "orig_h": "10.1.0.1",
        "orig_p": 41001,
        "resp_h": "192.0.2.8",
        "resp_p": 445,
        "proto": "tcp",
        "service": "smb",
        "duration_s": 3.25,
        "orig_pkts": 9,
        "resp_pkts": 7,
        "orig_ip_bytes": 1203,
        "resp_ip_bytes": 944,
        "raw_line": 2,
        "eve_state": "closed",
        "eve_reason": "timeout",
        "eve_alerted": True,
        "eve_tcp_state": "closed",
        "eve_tcp_flags_orig": "1b",
        "eve_tcp_flags_resp": "1a",
    }


def test_other_records_are_counted_by_their_type() -> None:
    assert read(SAMPLE).skipped == {"other_event:alert": 1, "other_event:dns": 1, "other_event:stats": 1}


def test_unset_is_null_and_no_service_is_none() -> None:
    rows = read(SAMPLE).rows
    assert rows["service"].to_list() == ["smb", "dns", None, None, "http", "tls"]
    icmp = rows.row(3, named=True)
    assert (icmp["orig_p"], icmp["resp_p"], icmp["proto"], icmp["eve_tcp_state"]) == (None, None, "icmp", None)
    unknown = read(lines(changed(app_proto="unknown"), changed(proto="047"), changed(proto="IPv6-ICMP"))).rows
    assert unknown["service"].to_list() == [None, "smb", "smb"]
    assert unknown["proto"].to_list() == ["tcp", "gre", "ipv6-icmp"]


def test_times_are_utc_whatever_their_zone_looks_like() -> None:
    hours = read(SAMPLE).rows["ts"].dt.hour().to_list()
    assert hours == [8, 8, 9, 9, 8, 14]
    assert read(SAMPLE, "Europe/Prague").rows["ts"].dt.hour().to_list() == [8, 8, 9, 8, 8, 14]
    assert reader_of("suricata_eve", timezone="Europe/Prague") == SuricataEVE("Europe/Prague")
    with pytest.raises(ConfigError, match="unknown timezone"):
        SuricataEVE("Mars/Olympus")


def test_times_without_zone_are_said() -> None:
    answer = SuricataEVE().recognise(Head(SAMPLE, complete=True))
    assert isinstance(answer, Recognition)
    assert "its times have no zone; they are read as UTC" in answer.notes
    assert "also holds alert, dns, stats records, which are passed over" in answer.notes
    plain = SuricataEVE().recognise(Head(lines(FLOW), complete=True))
    assert isinstance(plain, Recognition)
    assert plain.notes == ()


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"src_port": 70_000}, "bad_port", "orig_p"),
        ({"src_port": "http"}, "bad_number", "orig_p"),
        ({"dest_port": 10**30}, "bad_number", "resp_p"),
        ({"src_ip": "<script>"}, "bad_address", "orig_h"),
        ({"dest_ip": None}, "missing_value", "resp_h"),
        ({"proto": None}, "missing_value", "proto"),
        ({"flow": None}, "missing_value", "ts"),
        ({"flow": "text"}, "bad_record", "ts"),
        ({"flow_start": "yesterday"}, "bad_time", "ts"),
        ({"flow_start": "9999-01-01T00:00:00+0000", "flow_end": None}, "bad_time", "ts"),
        ({"flow_end": "soon"}, "bad_time", "end"),
        ({"flow_end": "2026-03-02T08:00:00+0100"}, "bad_duration", "duration_s"),
        ({"flow_bytes_toserver": -1}, "bad_count", "orig_ip_bytes"),
        ({"flow_pkts_toclient": 1.5}, "bad_number", "resp_pkts"),
        ({"flow_alerted": "yes"}, "bad_boolean", "eve_alerted"),
        ({"event_type": None}, "not_eve", None),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(
    changes: dict[str, Any], reason: str, field: str | None
) -> None:
    found = read(lines(FLOW, changed(**changes), FLOW))
    assert found.rows["raw_line"].to_list() == [1, 3]
    assert found.rejected.select("raw_line", "reason", "field").rows() == [(2, reason, field)]
    assert found.rejected["detail"].item()


def test_an_other_record_with_values_of_other_types_is_passed_over() -> None:
    found = read(lines(FLOW, {**FLOW, "event_type": "alert", "flow": "text"}, {**FLOW, "event_type": "x\x1b[2J"}))
    assert found.skipped == {"other_event:alert": 1, "other_event:x\\x1b[2J": 1}
    assert found.rejected.is_empty()


def as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_texts(inner) for key, inner in value.items()}
    return value if value is None or isinstance(value, list) else json.dumps(value).strip('"')


@pytest.mark.parametrize("beside", [[], ["{"], [changed(src_port=1.5)], [changed(flow="x")]], ids=str)
def test_numbers_and_truths_may_be_texts(beside: list[Any]) -> None:
    damaged = b"".join(one.encode() + b"\n" if isinstance(one, str) else lines(one) for one in beside)
    for records in (RECORDS, [FLOW]):
        found = read(lines(*(as_texts(record) for record in records)) + damaged)
        assert found.rows.equals(read(lines(*records)).rows)
        assert found.rejected.height == len(beside)


@pytest.mark.parametrize("text", ["1.5", "+5", " 5", "", "-", "99999999999999999999"])
def test_a_text_that_is_no_whole_number_sets_its_row_aside(text: str) -> None:
    for damaged in (b"", b"{\n"):
        found = read(lines(changed(src_port=text), FLOW) + damaged)
        assert found.rows.height == 1
        assert found.rejected["reason"].to_list()[0] == "bad_number"


def test_labels_are_read_where_records_have_them() -> None:
    marked = [{**FLOW, "label": "Malicious", "detailedlabel": "CC"}, {**FLOW, "label": "Benign"}, FLOW]
    rows = read(lines(*marked)).rows
    assert rows["label"].to_list() == ["CC", "BENIGN", None]
    assert rows["label_original"].to_list() == ["Malicious/CC", "Benign", None]
    assert rows["is_attack"].to_list() == [True, False, None]


def test_the_sensors_verdict_is_a_known_shortcut() -> None:
    assert "eve_alerted" in SuricataEVE().shortcut_columns


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("batch_bytes", [1, 1000, 1 << 20])
def test_an_array_gives_the_same_rows(indent: int | None, batch_bytes: int) -> None:
    array = json.dumps(RECORDS, indent=indent).encode()
    answer = SuricataEVE().recognise(Head(array, complete=True))
    assert isinstance(answer, Recognition)
    assert answer.variant == "array"
    found, plain = read(array, batch_bytes=batch_bytes), read(SAMPLE)
    assert found.rows.equals(plain.rows)
    assert found.skipped == plain.skipped


def test_a_damaged_array_is_an_error_with_the_way_out() -> None:
    array = json.dumps(RECORDS).encode()
    for damaged in (array[:-1], array[:-20], array.replace(b'"ICMP"', b"ICMP"), array + b"x"):
        with pytest.raises(DataError, match=r"eve\.json: a JSON array that cannot be read") as caught:
            read(damaged)
        assert "jq" in caught.value.hint


def test_a_log_without_flow_records_is_refused_with_the_setting_to_change() -> None:
    answer = SuricataEVE().recognise(Head(lines(RECORDS[0], RECORDS[3]), complete=True))
    assert isinstance(answer, Refusal)
    assert answer.passable
    assert "only alert, dns" in answer.message
    assert "flow" in answer.hint
    longer = SuricataEVE().recognise(Head(lines(RECORDS[0], RECORDS[3]), complete=False))
    assert isinstance(longer, Recognition)
    assert longer.notes[0] == "its first 1 MiB hold no flow records"


@pytest.mark.parametrize("content", [b'{"ts":1}\n', b"[1]\n", b"[\n", b'{"event_type":1}\n', b"text\n"])
def test_something_else_is_not_recognised(content: bytes) -> None:
    assert SuricataEVE().recognise(Head(content, complete=True)) is None


@settings(max_examples=40, deadline=None)
@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2098, 1, 1)),  # noqa: DTZ001 - the zone is drawn beside it
    st.integers(-12 * 60, 12 * 60),
    st.integers(0, 10**12),
)
def test_any_time_and_zone_come_back(start: datetime, minutes: int, took_us: int) -> None:
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    end = start + timedelta(microseconds=took_us)
    stamps = {"flow_start": f"{start:%Y-%m-%dT%H:%M:%S.%f}{zone}", "flow_end": f"{end:%Y-%m-%dT%H:%M:%S.%f}{zone}"}
    row = read(lines(changed(**stamps))).rows.row(0, named=True)
    assert row["ts"] == (start - timedelta(minutes=minutes)).replace(tzinfo=UTC)
    assert row["duration_s"] == pytest.approx(took_us / 1e6, rel=1e-15)


@pytest.mark.shared_data
def test_the_real_log_is_read_whole(shared_data: Callable[[str], Path]) -> None:
    data = (shared_data("suricata-eve") / "slips_test6-malicious.eve.json").read_bytes()
    answer = SuricataEVE().recognise(Head(data[:HEAD_BYTES], complete=False))
    assert isinstance(answer, Recognition)
    found = read(data)
    assert found.rejected.is_empty()
    assert found.rows.height == 3512
    counts = {"alert": 745, "dns": 680, "tls": 1, "http": 56, "fileinfo": 3, "anomaly": 3}
    assert found.skipped == {f"other_event:{kind}": count for kind, count in counts.items()}
    assert dict(found.rows["proto"].value_counts().iter_rows()) == {"tcp": 2336, "udp": 1176}
    assert found.rows["eve_alerted"].sum() == 366
    services = dict(found.rows["service"].value_counts().iter_rows())
    assert services == {None: 3355, "dns": 101, "http": 53, "tls": 2, "ntp": 1}
    assert found.rows.select("ts", "duration_s", "orig_ip_bytes", "resp_pkts").null_count().row(0) == (0, 0, 0, 0)


def test_a_log_of_netflow_records_alone_is_refused_with_the_way_to_a_table() -> None:
    answer = SuricataEVE().recognise(Head(lines(changed(event_type="netflow")), complete=True))
    assert isinstance(answer, Refusal)
    assert "no flow records, only netflow" in answer.message
    assert "docs/formats.md has a line of jq" in answer.hint
    alerts = SuricataEVE().recognise(Head(lines(changed(event_type="alert")), complete=True))
    assert isinstance(alerts, Refusal)
    assert "netflow" not in alerts.hint


@pytest.mark.shared_data
def test_the_real_log_of_alerts_alone_is_refused(shared_data: Callable[[str], Path]) -> None:
    data = (shared_data("suricata-eve") / "wrccdc-2017_alerts-only.json").read_bytes()
    answer = SuricataEVE().recognise(Head(data, complete=True))
    assert isinstance(answer, Refusal)
    assert "no flow records, only alert" in answer.message
    assert read(data).skipped == {"other_event:alert": 161}
