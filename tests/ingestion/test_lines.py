"""Cutting, numbering and cleaning lines."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.lines import BOM, Encoding, Lines, clean, count_of, has_long_line, read_lines
from cybersec_mlops.ingestion.rejected import Rejected


def cleaned(data: bytes, encoding: Encoding = "utf-8", limit: int = 100) -> tuple[Lines, list[str], dict[str, int]]:
    rejected, skipped = Rejected(), dict[str, int]()
    with applied(Limits(max_line_bytes=limit)):
        lines = clean(Lines(data, 1), rejected, skipped, encoding=encoding)
    return lines, rejected.frame()["reason"].to_list(), skipped


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.integers(1, 50), st.booleans())
def test_blocks_hold_every_line_once_with_its_number(content: list[bytes], size: int, last_newline: bool) -> None:
    data = b"".join(line + b"\n" for line in content)
    data = data if last_newline else data.removesuffix(b"\n")
    blocks = list(read_lines(io.BytesIO(data), batch_bytes=size))
    found = [(lines.number(i), lines.raw(i)) for lines in blocks for i in range(lines.height)]
    expected = data.split(b"\n")[: None if not data.endswith(b"\n") else -1] if data else []
    assert found == list(enumerate(expected, 1))


def test_a_block_is_about_as_large_as_asked() -> None:
    blocks = list(read_lines(io.BytesIO(b"0123456789\n" * 1000), batch_bytes=500))
    assert {len(lines.data) for lines in blocks[:-1]} <= set(range(480, 512))


def test_a_line_that_is_too_long_is_cut_while_it_is_read_and_then_set_aside() -> None:
    data = b"a\n" + b"x" * 5000 + b"\nb\n"
    rejected, skipped = Rejected(), dict[str, int]()
    with applied(Limits(max_line_bytes=100)):
        blocks = list(read_lines(io.BytesIO(data), batch_bytes=64))
        assert max(len(lines.data) for lines in blocks) < 300
        rows = [clean(lines, rejected, skipped) for lines in blocks]
    assert b"".join(lines.data for lines in rows) == b"a\nb\n"
    assert rejected.frame().select("raw_line", "reason").rows() == [(2, "line_too_long")]


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"", b"a", b"bb", b"x" * 10, b"x" * 11, b"x" * 30]), max_size=6))
@example([b"x" * 11])
@example([b"a", b"x" * 11, b"a"])
def test_a_long_line_is_seen_without_being_looked_for(content: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in content)
    with applied(Limits(max_line_bytes=10)):
        assert has_long_line(Lines(data, 1)) == any(len(line) > 10 for line in content)


@pytest.mark.parametrize("place", [0, 1, (1 << 18) - 3, (1 << 18) - 1, 1 << 18, (1 << 18) + 7, (1 << 19) - 4])
def test_a_text_is_held_wherever_it_is(place: int) -> None:
    data = bytearray(b"." * (1 << 19) + b"\n")
    lines = Lines(bytes(data), 1)
    assert not lines.hold(b"abcd", b"@")
    data[place : place + 4] = b"abcd"
    lines = Lines(bytes(data), 1)
    assert lines.hold(b"@", b"abcd")
    assert not lines.hold(b"@", b"abce")


@given(st.binary())
def test_bytes_are_counted(data: bytes) -> None:
    assert count_of(0, data) == data.count(0)


def test_lines_are_counted_without_being_looked_for() -> None:
    lines = Lines(b"a\n\nb\n", 5)
    assert (lines.height, lines.numbers().to_list()) == (3, [5, 6, 7])
    assert lines.ends.tolist() == [1, 2, 4]
    assert lines.height == 3


def test_numbers_stay_those_of_the_original_after_edits() -> None:
    lines = Lines(b"a\nb\nc\nd\ne\n", 7).edit({0: None, 2: b"C", 3: None})
    assert lines.data == b"b\nC\ne\n"
    assert lines.numbers().to_list() == [8, 9, 11]
    assert [lines.number(i) for i in range(3)] == [8, 9, 11]
    assert lines.part(1, 3).numbers().to_list() == [9, 11]
    assert lines.part(1, 1).height == 0


@settings(deadline=None)
@given(st.data())
def test_a_part_is_what_a_list_slice_is(data: st.DataObject) -> None:
    content = data.draw(st.lists(st.sampled_from([b"", b"a", b"bb"]), max_size=8))
    lines = Lines(b"".join(line + b"\n" for line in content), 3)
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    part = lines.part(start, stop)
    assert [part.raw(i) for i in range(part.height)] == content[start:stop]
    assert part.numbers().to_list() == list(range(3 + start, 3 + stop))
    assert part.lengths.tolist() == [len(line) for line in content[start:stop]]


def test_what_no_parser_should_meet_is_taken_away() -> None:
    data = b"one\r\n\n" + BOM + b"two\nth\0ree\n" + b"x" * 101 + b"\nf\xf6ur\nf\xc3\xafve\n"
    lines, reasons, skipped = cleaned(data)
    assert lines.data == "one\ntwo\nfïve\n".encode()
    assert lines.numbers().to_list() == [1, 3, 7]
    assert reasons == ["nul_byte", "line_too_long", "not_utf8"]
    assert skipped == {"blank_line": 1}


def test_another_encoding_is_read_where_the_format_allows_it() -> None:
    lines, reasons, _ = cleaned(b"a \x96 b\n\xc3\xa9\n\x81\n", encoding="cp1252")
    assert lines.data.decode().splitlines() == ["a \u2013 b", "é", "\ufffd"]
    assert reasons == []


@pytest.mark.parametrize("data", [b"", b"plain\n", "é\n".encode(), b"tab\there\rmiddle\n"])
def test_sound_lines_are_left_alone(data: bytes) -> None:
    lines, reasons, skipped = cleaned(data)
    assert (lines.data, reasons, skipped) == (data, [], {})
