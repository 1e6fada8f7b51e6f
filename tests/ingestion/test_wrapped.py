"""Records of a known format inside of something else."""

from __future__ import annotations

import csv
import io
import json

import pytest

from cybersec_mlops.ingestion.reader import Head, Refusal
from cybersec_mlops.ingestion.sniff import recognise

FLOW = {
    "timestamp": "2026-03-02T09:00:05.000000+0000",
    "event_type": "flow",
    "src_ip": "10.0.0.5",
    "dest_ip": "10.0.0.9",
    "proto": "TCP",
    "flow": {"start": "2026-03-02T09:00:00.000000+0000"},
}
CONN = {"ts": 1772442000.5, "uid": "C1", "id.orig_h": "10.0.0.5", "id.orig_p": 5, "id.resp_h": "10.0.0.9"} | {
    "id.resp_p": 80,
    "proto": "tcp",
    "conn_state": "SF",
}
VPC = "2 123456789010 eni-1235b8ca123456789 10.0.0.5 10.0.0.9 20641 22 6 20 4249 1772442000 1772442060 ACCEPT OK"


def refused(*lines: object, complete: bool = True) -> Refusal:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
    answer = recognise(Head(text.encode(), complete=complete))
    assert isinstance(answer, Refusal)
    return answer


@pytest.mark.parametrize(
    ("line", "format_name", "where", "how"),
    [
        ({"_index": "logstash", "_source": FLOW}, "suricata_eve", "_source", "jq -c '._source' FILE"),
        ({"preview": False, "result": {"_raw": json.dumps(CONN)}}, "zeek_conn", "result._raw", "._raw | fromjson"),
        (
            {"@timestamp": "now", "message": json.dumps(CONN)},
            "zeek_conn",
            "message",
            "jq -c '.message | fromjson' FILE",
        ),
        ({"message": VPC}, "vpc_flow", "message", "jq -r '.message' FILE"),
        ({"host": "a", "@fields": FLOW}, "suricata_eve", "@fields", """jq -c '."@fields"' FILE"""),
    ],
)
def test_it_is_said_what_a_wrapper_holds_and_how_to_take_it_out(
    line: object, format_name: str, where: str, how: str
) -> None:
    refusal = refused(line, line)
    assert refusal.message == f'holds {format_name} records inside of the key "{where}"'
    assert how in refusal.hint
    assert refusal.passable


def test_records_of_an_array_are_taken_out_one_by_one() -> None:
    assert "jq -c '.[] | ._source' FILE" in refused(json.dumps([{"_source": CONN}])).hint


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("answer", "format_name", "where", "how"),
    [
        (
            {"hits": {"hits": [{"_source": CONN}]}},
            "zeek_conn",
            'the key "hits.hits[]._source"',
            ".hits.hits[] | ._source",
        ),
        ({"events": [{"message": VPC}]}, "vpc_flow", 'the key "events[].message"', "jq -r '.events[] | .message' FILE"),
        ({"next": "x", "flows": [FLOW, FLOW]}, "suricata_eve", 'the list "flows"', "jq -c '.flows[]' FILE"),
    ],
)
def test_the_answer_of_an_interface_has_its_records_in_a_list(
    answer: object, format_name: str, where: str, how: str, indent: int | None
) -> None:
    refusal = refused(json.dumps(answer, indent=indent))
    assert refusal.message == f"holds {format_name} records inside of {where}"
    assert how in refusal.hint


@pytest.mark.parametrize(("line", "format_name"), [(VPC, "vpc_flow"), (json.dumps(CONN), "zeek_conn")])
@pytest.mark.parametrize("column", ["@message", "_raw"])
def test_a_column_of_a_csv_export_holds_the_lines(line: str, format_name: str, column: str) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["_time", column, "host"], ["now", line, "a"]])
    refusal = refused(text.getvalue())
    assert refusal.message == f'holds {format_name} records inside of the column "{column}"'
    assert f'row["{column}"]' in refusal.hint


def test_lines_of_syslog_that_end_in_a_record() -> None:
    refusal = refused(f"Mar  2 09:00:05 sensor suricata[1]: {json.dumps(FLOW)}")
    assert refusal.message == "holds suricata_eve records inside of lines that begin with something else"
    assert "sed 's/^[^{]*//' FILE" in refusal.hint


def test_what_is_inside_may_be_refused_itself() -> None:
    refusal = refused({"firewall_name": "f", "event": FLOW | {"event_type": "alert"}})
    assert 'no flow records, only alert, inside of the key "event"' in refusal.message


def test_records_may_differ_and_hold_anything() -> None:
    assert "._source" in refused({"_source": FLOW}, {"_source": "text"}, {"other": 1}, {"_source": FLOW}).hint


@pytest.mark.parametrize(
    "line", [{"a": {"b": {"c": {"d": FLOW}}}}, {"it's": FLOW}, {"a": {"b": 1}, "c": "six words that are no log"}]
)
def test_what_is_deeper_or_has_a_strange_name_or_is_nothing_known_is_no_wrapper(line: object) -> None:
    assert "is not of a known format" in refused(line).message


def test_a_record_of_many_keys_is_looked_into_as_far_as_the_limit() -> None:
    assert "is not of a known format" in refused({f"k{n}": {"n": n} for n in range(2000)} | {"last": FLOW}).message
