"""Recognising Zeek's logs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion.reader import Head, Recognition, Refusal
from cybersec_mlops.ingestion.zeek_conn import ZeekConn, record_kind

SAMPLES = Path(__file__).parent / "samples"
DNS = {"ts": 1.0, "uid": "C1", "id.orig_h": "192.0.2.1", "query": "example.org", "qtype_name": "A"}


def recognise(data: bytes | str, *, complete: bool = True) -> Recognition | Refusal | None:
    return ZeekConn().recognise(Head(data if isinstance(data, bytes) else data.encode(), complete=complete))


def test_labels_are_announced() -> None:
    answer = recognise((SAMPLES / "zeek_labelled.log").read_bytes())
    assert isinstance(answer, Recognition)
    assert answer.notes == ("labelled",)
    assert answer.ignored == ("tunnel_parents",)


def test_other_records_in_a_json_stream_are_announced() -> None:
    answer = recognise((SAMPLES / "zeek_mixed.json").read_bytes())
    assert isinstance(answer, Recognition)
    assert [note.split()[2] for note in answer.notes] == ["dns", "known_services"]
    assert "@system" in answer.ignored


def test_a_tsv_log_of_another_type_is_named() -> None:
    answer = recognise("#separator \\x09\n#path\tdns\n#fields\tts\tuid\tquery\n1\tC\tx\n")
    assert isinstance(answer, Refusal)
    assert "dns.log (ts, uid, query, ...), expected conn.log" in answer.message
    assert "conn.log" in answer.hint
    assert answer.passable


def test_a_tsv_log_without_its_header_is_told_apart_from_a_table() -> None:
    rows = (SAMPLES / "zeek_conn.log").read_bytes().splitlines(keepends=True)
    answer = recognise(b"".join(row for row in rows if not row.startswith(b"#")))
    assert isinstance(answer, Refusal)
    assert answer.message == "a Zeek log without the comment lines of its header"
    assert "grep '^#' conn.log" in answer.hint
    assert not answer.passable


def test_other_comments_may_stand_in_front_of_the_header() -> None:
    data = b"### a note of somebody\n\n" + (SAMPLES / "zeek_conn.log").read_bytes()
    assert isinstance(recognise(data), Recognition)
    assert recognise(b"# a list of hosts\n192.0.2.1\n") is None


def test_hosts_inside_of_id_are_refused_with_the_way_to_write_them_flat() -> None:
    answer = recognise('{"ts": 1772000000.1, "uid": "C1", "id": {"orig_h": "192.0.2.1"}, "proto": "tcp"}\n')
    assert isinstance(answer, Refusal)
    assert "with_entries" in answer.hint


@pytest.mark.parametrize("record", [DNS, {**DNS, "_path": "dns"}, {"@stream": "dns"}])
def test_a_json_log_of_another_type_is_named(record: dict[str, object]) -> None:
    answer = recognise(json.dumps(record) + "\n")
    assert isinstance(answer, Refusal)
    assert "dns.log, expected conn.log" in answer.message
    assert answer.passable


def test_connections_may_come_late_in_a_stream() -> None:
    conn = (SAMPLES / "zeek_conn.json").read_bytes()
    answer = recognise((json.dumps(DNS) + "\n").encode() * 500 + conn)
    assert isinstance(answer, Recognition)


def test_connections_that_come_too_late_can_be_named() -> None:
    answer = recognise((json.dumps(DNS) + "\n") * 5, complete=False)
    assert isinstance(answer, Refusal)
    assert "name the format: zeek_conn" in answer.hint


def test_a_conn_log_without_its_columns_says_which() -> None:
    answer = recognise("#path\tconn\n#fields\tts\tuid\tid.orig_h\tproto\n1\tC\t1.1.1.1\ttcp\n")
    assert isinstance(answer, Refusal)
    assert "id.orig_p, id.resp_h, id.resp_p, conn_state missing among ts, uid" in answer.message
    assert not answer.passable


def test_a_header_without_fields_is_refused() -> None:
    answer = recognise("#separator \\x09\n#path\tconn\n")
    assert isinstance(answer, Refusal)
    assert "#fields" in answer.message


def test_one_json_array_reads_as_its_records_on_lines_do() -> None:
    lines = (SAMPLES / "zeek_conn.json").read_text()
    array = "[" + ",\n".join(lines.splitlines()) + "]"
    answer = recognise(array)
    assert isinstance(answer, Recognition)
    assert (answer.format, answer.variant) == ("zeek_conn", "array")
    (one,), (other,) = (ZeekConn().read(io.BytesIO(text.encode()), source="conn.json") for text in (array, lines))
    assert one.rows.equals(other.rows)
    assert one.rejected.equals(other.rejected)


def test_an_array_that_ends_early_is_an_error_with_the_way_out() -> None:
    lines = (SAMPLES / "zeek_conn.json").read_text().splitlines()
    with pytest.raises(DataError, match=r"^conn\.json: a JSON array that cannot be read to its end") as caught:
        list(ZeekConn().read(io.BytesIO(("[" + ",".join(lines)).encode()), source="conn.json"))
    assert "jq -c" in caught.value.hint


@pytest.mark.parametrize(
    ("time", "noted"), [("2024-06-10T06:13:20.5", True), ("2024-06-10T06:13:20.5Z", False), ("1718000000.5", False)]
)
def test_times_without_a_zone_are_read_in_that_of_the_option_which_is_said(time: str, noted: bool) -> None:
    record = {"ts": time, "id.orig_h": "192.0.2.1", "id.orig_p": 1, "id.resp_h": "192.0.2.2", "id.resp_p": 2}
    record |= {"uid": "C", "proto": "tcp", "conn_state": "SF"}
    tsv = "#fields\t" + "\t".join(record) + "\n" + "\t".join(str(value) for value in record.values()) + "\n"
    for text in (tsv, json.dumps(record) + "\n"):
        reader = ZeekConn("Europe/Prague")
        answer = reader.recognise(Head(text.encode(), complete=True))
        assert isinstance(answer, Recognition)
        assert answer.notes == (("its times have no zone; they are read as Europe/Prague",) if noted else ())
        (batch,) = reader.read(io.BytesIO(text.encode()), source="conn.log")
        assert batch.rows["ts"].dt.hour().to_list() == [4 if noted else 6]


def test_a_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown timezone 'Europe/Nowhere'"):
        ZeekConn("Europe/Nowhere")


@pytest.mark.parametrize("data", ["", "a,b\n", "{}\n", '{"event_type":"flow"}\n', "{broken\n", "# a comment\n"])
def test_what_is_not_zeek_is_left_to_others(data: str) -> None:
    assert recognise(data) is None


def test_an_impossible_header_names_the_file() -> None:
    with pytest.raises(DataError, match=r"^my\.log: a Zeek log with the separator"):
        list(ZeekConn().read(io.BytesIO(b"#separator ab\n"), source="my.log"))


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"_path": "ssl"}, "ssl"),
        ({"@stream": "x509"}, "x509"),
        ({"_path": 5}, ""),
        ({"_path": "conn-dmz"}, "conn-dmz"),
        (DNS, "dns"),
        ({"ts": 1, "uid": "C", "id.orig_h": "x", "auth_attempts": 1, "client": "x"}, "ssh"),
        ({"ts": 1, "uid": "C", "id.orig_h": "x", "note": "y"}, "?"),
        ({"a": 1}, ""),
    ],
)
def test_a_record_says_which_log_it_is_of(record: dict[str, object], kind: str) -> None:
    assert record_kind(record) == kind


def test_what_has_no_name_has_that_of_its_protocol_number_and_no_ports() -> None:
    record = {"ts": 1.5, "uid": "C1", "id.orig_h": "10.0.0.5", "id.orig_p": 0, "id.resp_h": "10.0.0.9", "id.resp_p": 0}
    records = [
        record | {"proto": "unknown_transport", "conn_state": "OTH", "ip_proto": 47},
        record | {"proto": "unknown_transport", "conn_state": "OTH", "ip_proto": None},
        record | {"proto": "tcp", "conn_state": "OTH", "ip_proto": 6},
    ]
    table = ["#fields\t" + "\t".join(records[0])]
    table += ["\t".join("-" if value is None else str(value) for value in one.values()) for one in records]
    for lines in (table, [json.dumps(one) for one in records]):
        (batch,) = ZeekConn().read(io.BytesIO("\n".join([*lines, ""]).encode()), source="conn.log")
        assert batch.rows["proto"].to_list() == ["gre", "unknown_transport", "tcp"]
        assert batch.rows["orig_p"].to_list() == [None, 0, 0]
        assert batch.rejected.is_empty()
