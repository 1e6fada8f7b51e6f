"""Which format a file is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.reader import HEAD_BYTES, Head, Recognition, Refusal
from cybersec_mlops.ingestion.readers import READERS
from cybersec_mlops.ingestion.sniff import describe, recognise, refused

SAMPLES = Path(__file__).parent / "samples"


def head(data: bytes) -> Head:
    return Head(data, complete=True)


@pytest.mark.parametrize(
    ("data", "looks"),
    [
        (b"PAR1\0\0", "a Parquet file without its end"),
        (b"\xff\xfet\0s\0", "text in UTF-16"),
        (b"\0\x05\0\x1e\0\0", "NetFlow v5 datagrams"),
        (b"\0\x09\0\x1e\0\0", "NetFlow v9 datagrams"),
        (b"\0\x0a\0\x1e\0\0", "IPFIX datagrams"),
        (b"\x01\x02\0\x03", "binary data"),
        (b'{"event_type":"purge"}\n', "JSON with the keys event_type"),
        (b'{"a":1,"b":2}\n', "JSON with the keys a, b"),
        (b"[1]\n", "a JSON array"),
        (b"{\n", "JSON over several lines, or damaged JSON"),
        (b"[" * 100_000, "JSON over several lines, or damaged JSON"),
        (b"StartTime,Dur,Proto,SrcAddr\n", "Argus bidirectional flows"),
        (b"IPV4_SRC_ADDR,L4_SRC_PORT\n", "a NetFlow table of the NF-* kind"),
        (b"a;b;c\n", "a semicolon-separated table of 3 columns: a, b, c"),
        (b"a\tb\tc\td\te\tf\tg\n", "a tab-separated table of 7 columns: a, b, c, d, e, f, ..."),
        (b"Dec 10 06:55:46 host sshd[1]: x\n", "a syslog file"),
        (b"hello\x1b[31m\n", "text that begins with 'hello\\\\x1b[31m'"),
    ],
)
def test_an_unknown_file_is_described(data: bytes, looks: str) -> None:
    assert describe(head(data)) == looks
    answer = recognise(head(data))
    assert isinstance(answer, Refusal)
    assert answer.message.removeprefix("is not of a known format: it looks like ") == looks
    assert answer.passable or "Parquet" in looks
    assert answer.hint


@pytest.mark.parametrize("magic", [b"\xd4\xc3\xb2\xa1\x02\0", b"\xa1\xb2\x3c\x4d\0", b"\x0a\x0d\x0d\x0a\0\0"])
def test_a_capture_is_described_where_another_format_is_asked_for(magic: bytes) -> None:
    answer = recognise(head(magic), format="zeek_conn")
    assert isinstance(answer, Refusal)
    assert "it looks like a packet capture (pcap" in answer.message


def test_an_eve_log_is_described_where_another_format_is_asked_for() -> None:
    answer = recognise(head(b'{"event_type":"alert","timestamp":"now"}\n'), format="argus")
    assert isinstance(answer, Refusal)
    assert "it looks like Suricata EVE (alert records)" in answer.message


def test_the_format_may_be_named() -> None:
    data = (SAMPLES / "zeek_conn.log").read_bytes()
    assert isinstance(recognise(head(data), format="zeek_conn"), Recognition)
    answer = recognise(head(data), format="unsw_nb15")
    assert isinstance(answer, Refusal)
    assert answer.message.startswith("is not of the format unsw_nb15: it looks like text")


def test_a_format_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="unknown format 'csv'"):
        recognise(head(b"a"), format="csv")


def test_a_refusal_becomes_an_error_that_names_the_file() -> None:
    error = refused(Refusal("is odd", hint="mend it", line=7), source="my.log")
    assert (error.message, error.hint, error.line) == ("my.log:7: is odd", "mend it", 7)


@pytest.mark.parametrize("name", READERS)
def test_every_format_is_in_the_list_that_people_are_shown(name: str) -> None:
    answer = recognise(head(b"nothing known\n"))
    assert isinstance(answer, Refusal)
    word = {
        "zeek_conn": "zeek",
        "nsl_kdd": "nsl-kdd",
        "unsw_nb15": "unsw-nb15",
        "suricata_eve": "suricata eve",
        "unsw_nb15_raw": "raw files",
        "nf_tables": "nf-*",
        "vpc_flow": "vpc flow logs",
        "canonical": "canonical names",
    }.get(name, name)
    assert word in answer.hint.casefold()


def test_a_line_that_is_too_long_is_said() -> None:
    answer = recognise(Head(b"a," * (HEAD_BYTES // 2), complete=False))
    assert isinstance(answer, Refusal)
    assert "a line of more than 1 MiB" in answer.message
    assert "max_line_bytes" in answer.hint


def test_documents_of_objects_are_refused_with_the_way_to_write_them_flat() -> None:
    answer = recognise(Head(b'{"@timestamp":"now","source":{"ip":"10.0.0.1"},"destination":{"ip":"10.0.0.2"}}\n', True))
    assert isinstance(answer, Refusal)
    assert "paths(scalars)" in answer.hint
