"""The mapping that is suggested for an unknown table can be used as it is."""

from __future__ import annotations

import io
import json

import polars as pl
import pytest

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.draft import draft_mapping
from cybersec_mlops.ingestion.mapped import Mapped
from cybersec_mlops.ingestion.mapping import parse_mapping
from cybersec_mlops.ingestion.reader import Head, Recognition
from cybersec_mlops.ingestion.sniff import read_head

ROW = {
    "Start Time": "1795424400123",
    "src_ip": "192.0.2.1",
    "Src Port": 5,
    "dst_ip": "192.0.2.2",
    "dst.port": 80,
    "Protocol": "TCP",
    "duration_ms": 1500,
    "sent_bytes": 10,
    'odd "name"': 7,
    "note": "hello",
    "Label": "DoS",
}


def as_csv(separator: str) -> bytes:
    names = ['"odd ""name"""' if '"' in name else name for name in ROW]
    return f"{separator.join(names)}\n{separator.join(str(value) for value in ROW.values())}\n".encode()


def as_parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({**ROW, "Start Time": "2026-11-23T09:00:00.123Z"}).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [as_csv(","), as_csv(";"), as_csv("\t"), json.dumps(ROW).encode(), f"[{json.dumps(ROW)}]".encode(), as_parquet()],
    ids=["commas", "semicolons", "tabs", "json", "array", "parquet"],
)
def test_a_draft_reads_the_table_that_it_was_made_for(data: bytes) -> None:
    head = read_head(io.BytesIO(data))
    draft = draft_mapping(head)
    assert draft is not None
    reader = Mapped(parse_mapping(draft.encode(), source="draft"))
    assert isinstance(reader.recognise(head), Recognition)
    (batch,) = reader.read(io.BytesIO(data), source="table")
    (row,) = batch.rows.to_dicts()
    assert row["ts"].isoformat() == "2026-11-23T09:00:00.123000+00:00"
    assert (row["orig_h"], row["resp_p"], row["duration_s"], row["label"]) == ("192.0.2.1", 80, 1.5, "DoS")
    assert "note" in draft


@pytest.mark.parametrize("data", [b"", b"hello world\n", b"a,b,c\n1,2,3\n", b'{"a": 1}\n', b"\x00\x01\n", b"PAR1"])
def test_what_is_no_table_of_connections_has_no_draft(data: bytes) -> None:
    assert draft_mapping(Head(data, complete=True, tail=data)) is None


def test_objects_inside_of_json_are_no_guess() -> None:
    record = {"time": "2026-03-02T09:00Z", "proto": 6, "source": {"ip": "192.0.2.1"}, "dst_ip": "192.0.2.2", "port": 80}
    text = draft_mapping(Head((json.dumps(record) + "\n").encode(), complete=True))
    assert text is not None
    assert '"orig_h"' not in text
    assert "# source: holds objects or arrays" in text


def test_names_and_times_of_an_export_of_kibana_are_guessed() -> None:
    data = (
        b'"@timestamp","source.ip","source.port","destination.ip","destination.port","network.transport","event.duration"\n'
        b'"Nov 3, 2026 @ 09:00:00.123","192.0.2.1",5,"192.0.2.2",80,tcp,1500000000\n'
    )
    draft = draft_mapping(Head(data, complete=True))
    assert draft is not None
    (batch,) = Mapped(parse_mapping(draft.encode(), source="draft")).read(io.BytesIO(data), source="table")
    (row,) = batch.rows.to_dicts()
    assert (row["ts"].isoformat(), row["proto"], row["duration_s"]) == ("2026-11-03T09:00:00.123000+00:00", "tcp", 1.5)


def test_every_canonical_name_is_guessed() -> None:
    data = f"{','.join(CONNECTION_SCHEMA)}\n".encode()
    draft = draft_mapping(Head(data, complete=True))
    assert draft is not None
    assert set(parse_mapping(draft.encode(), source="draft").targets.values()) == CONNECTION_SCHEMA.keys()


@pytest.mark.parametrize(
    "data",
    [
        (
            b"sIP|dIP|sPort|dPort|pro|packets|bytes|sTime|eTime|\n"
            b"192.0.2.1|192.0.2.2|5|80|6|3|191|2026/11/23T09:00:00.500|2026/11/23T09:00:05.500|\n"
        ),
        (
            b'{"event_type":"purge","ip_src":"192.0.2.1","ip_dst":"192.0.2.2","port_src":5,"port_dst":80,'
            b'"ip_proto":"tcp","timestamp_start":"2026-11-23 09:00:00.500","timestamp_end":"2026-11-23 09:00:05.500"}\n'
        ),
        (
            b'{"time_flow_start_ns":1795424400500000000,"time_flow_end_ns":1795424405500000000,"src_addr":"192.0.2.1",'
            b'"dst_addr":"192.0.2.2","proto":"TCP","src_port":5,"dst_port":80}\n'
        ),
    ],
    ids=["rwcut", "pmacct", "goflow2"],
)
def test_what_other_collectors_write_is_guessed(data: bytes) -> None:
    draft = draft_mapping(Head(data, complete=True))
    assert draft is not None
    (batch,) = Mapped(parse_mapping(draft.encode(), source="draft")).read(io.BytesIO(data), source="table")
    (row,) = batch.rows.to_dicts()
    assert (row["orig_h"], row["orig_p"], row["resp_h"], row["resp_p"]) == ("192.0.2.1", 5, "192.0.2.2", 80)
    assert (row["ts"].isoformat(), row["proto"], row["duration_s"]) == ("2026-11-23T09:00:00.500000+00:00", "tcp", 5.0)
