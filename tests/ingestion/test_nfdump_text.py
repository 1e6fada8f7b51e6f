"""The lines of nfdump's text."""

from __future__ import annotations

import pytest

from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.nfdump_text import cell, form_of_header, form_of_row, read_text
from cybersec_mlops.ingestion.rejected import Rejected

HEADER = b"Date first seen Duration Proto Src IP Addr:Port Dst IP Addr:Port"
ROW = b"2026-03-02 09:00:00.125 8.304 TCP 10.1.0.1:5 "


@pytest.mark.parametrize(
    ("columns", "values", "variant"),
    [
        (b"Packets Bytes Flows", b"-> 10.0.0.2:80 1.2 M 3 1", "line"),
        (b"Flags Tos Packets Bytes Flows", b"-> 10.0.0.2:80 .AP.SF 0 1 3.0 G 1", "long"),
        (b"Flags Tos Packets Bytes pps bps Bpp Flows", b"-> 10.0.0.2:80 .AP.SF 0 1 3 0 1.1 M 3 1", "extended"),
        (b"Out Pkt In Pkt Out Byte In Byte Flows", b"<-> 10.0.0.2:80 1 2 3 4 1", "biline"),
        (b"Flags Tos Out Pkt In Pkt Out Byte In Byte Flows", b"<-> 10.0.0.2:80 .AP.SF 0 1 2 3 4 1", "bilong"),
    ],
)
def test_a_layout_is_known_by_its_header_and_by_its_rows(columns: bytes, values: bytes, variant: str) -> None:
    headed, bare = form_of_header(HEADER + b" " + columns), form_of_row(ROW + values)
    assert headed is not None
    assert bare == headed
    assert headed.variant == variant
    _, frame = read_text(Lines(ROW + values + b"\n", 1), headed, Rejected())
    assert frame.null_count().sum_horizontal().item() == 0


def test_countries_behind_the_addresses_are_no_other_layout() -> None:
    plain, countries = (
        form_of_header(HEADER.replace(b"Addr:Port", ends) + b" Packets Bytes Flows")
        for ends in (b"Addr:Port", b"Addr(..):Port")
    )
    assert plain is not None
    assert countries is not None
    assert (countries.variant, countries.columns, countries.unknown) == (plain.variant, plain.columns, ())


def test_a_header_of_ones_own_has_its_own_order() -> None:
    form = form_of_header(b"Date first seen Proto Src IP Addr Dst IP Addr Src Pt Dst Pt Duration Bytes Src AS")
    assert form is not None
    assert form.variant == "fmt"
    line = b"2026-03-02 09:00:00.125 TCP 10.0.0.1 10.0.0.2 5 80 0.5 1.5 M 64500"
    assert [cell(line, form, name) for name in ("orig_h", "resp_p", "orig_ip_bytes", "nothing")] == [
        "10.0.0.1", "80", "1.5 M", None,
    ]  # fmt: skip


@pytest.mark.parametrize("line", [b"", b"Date format", b"2026-03-02 nothing", b"garbage", ROW + b"-> 10.0.0.2:80 1"])
def test_other_lines_are_no_header_and_no_row(line: bytes) -> None:
    assert form_of_header(line) is None
    assert form_of_row(line) is None


def test_a_row_that_cannot_be_cut_is_set_aside() -> None:
    form, rejected = form_of_header(HEADER + b" Packets Bytes Flows"), Rejected()
    assert form is not None
    data = ROW + b"-> 10.0.0.2:80 1 2 1\nx\n"
    lines, frame = read_text(Lines(data, 7), form, rejected)
    assert (lines.height, frame.height) == (1, 1)
    assert rejected.frame().select("raw_line", "reason").rows() == [(8, "ragged_row")]


@pytest.mark.parametrize("odd", [b"T    CP", b"T CP", b"TCP  K", b"TCP K"])
def test_how_a_row_is_cut_does_not_depend_on_its_neighbours(odd: bytes) -> None:
    form = form_of_header(HEADER + b" Packets Bytes Flows")
    assert form is not None
    plain = ROW + b"-> 10.0.0.2:80 1 2 1\n"
    strange = plain.replace(b"TCP", odd)
    slow = "\N{SNOWMAN}".encode() + b"\n"  # no ASCII: all are cut one by one
    alone, among = Rejected(), Rejected()
    _, first = read_text(Lines(strange, 1), form, alone)
    _, second = read_text(Lines(strange + slow, 1), form, among)
    assert first.equals(second)
    assert among.count == alone.count + 1
