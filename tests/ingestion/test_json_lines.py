"""JSON records to columns."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.exceptions import PolarsError

from cybersec_mlops.ingestion.json_lines import (
    array_lines,
    array_values,
    broken_lines,
    is_array,
    is_readable,
    json_fault,
    objects_of,
    objects_only,
    parse_objects,
)
from cybersec_mlops.ingestion.lines import BOM, Lines
from cybersec_mlops.ingestion.reader import Head
from cybersec_mlops.ingestion.rejected import Rejected

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6)
SCHEMA: dict[str, pl.DataType] = {"a": pl.Int64(), "b": pl.Struct({"c": pl.String()})}


def parse(lines: Lines) -> pl.DataFrame:
    return parse_objects(lines, SCHEMA)


@settings(max_examples=60, deadline=None)
@given(OBJECTS, st.sampled_from([None, 0, 3]), st.booleans(), st.integers(1, 40))
def test_an_array_gives_its_values_whatever_its_layout(
    objects: list[Any], indent: int | None, ascii_only: bool, size: int
) -> None:
    data = json.dumps(objects, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    if b"\xed" in data:
        return  # half a character, which no UTF-8 holds
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert list(array_values(chunks)) == objects


def test_lines_of_an_array_are_numbered_by_their_place() -> None:
    data = json.dumps([{"a": number} for number in range(10)], indent=2).encode()
    blocks = list(array_lines(io.BytesIO(data), batch_bytes=20))
    assert [block.number(0) for block in blocks] == [1, 4, 7, 10]
    assert b"".join(block.data for block in blocks).count(b"\n") == 10


@pytest.mark.parametrize("data", [b'[{"a":1}', b'[{"a":1}] x', b'[{"a"', b"[{" * 50_000, b"[" + b'{"a":' * 50_000])
def test_an_array_that_is_damaged_or_cut_off_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        list(array_values([data]))


def test_a_value_without_end_is_an_error_in_bounded_memory() -> None:
    read = 0

    def chunks() -> Any:
        nonlocal read
        yield b'[{"a": "'
        while True:
            read += 1
            yield b"x" * (1 << 16)

    with pytest.raises(ValueError):
        list(array_values(chunks()))
    assert read < 40


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"[{", True),
        (BOM + b" [\n {", True),
        (b"[]", True),
        (b"[1]", False),
        (b"[2026-01-01] text", False),
        (b"", False),
    ],
)
def test_an_array_is_told_from_text_in_brackets(data: bytes, answer: bool) -> None:
    assert is_array(data) is answer


def test_lines_that_are_no_objects_are_set_aside() -> None:
    rejected, skipped = Rejected(), dict[str, int]()
    left = objects_only(Lines(b'{"a":1}\n  \n[1]\n {"a":2} \ntext\n', 5), rejected, skipped)
    assert [left.number(index) for index in range(left.height)] == [5, 8]
    assert rejected.frame()["raw_line"].to_list() == [7, 9]
    assert skipped == {"blank_line": 1}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([b'{"a":1}', b'{"a":"x"}', b'{"b":{"c":"d"}}', b'{"b":[]}', b"{", b'{"z":{}}']), max_size=12
    )
)
def test_each_line_is_judged_alone(lines: list[bytes]) -> None:
    bad = {b'{"a":"x"}', b'{"b":[]}', b"{"}
    block = Lines(b"".join(line + b"\n" for line in lines), 1)
    broken = list(broken_lines(block, partial(is_readable, parse=parse), json_fault))
    assert broken == [index for index, line in enumerate(lines) if line in bad]
    if broken:
        with pytest.raises(PolarsError):
            parse_objects(block, SCHEMA)
    assert parse_objects(block.edit(dict.fromkeys(broken)), SCHEMA).height == len(lines) - len(broken)


SPELLINGS = st.sampled_from(
    [
        b"1",
        b"01",
        b"1e999",
        b"-1e-999",
        b"NaN",
        b"-Infinity",
        b"%d" % 2**127,
        b"-%d" % 2**128,
        b'"\\ud800"',
        b'"\\q"',
        b'"\t"',
    ]
    + [b"[" * depth + b"]" * depth for depth in (3, 900, 1100)]
    + [b"tru", b"{1:2}", b"[1,]", b"+1", b".5", b"1.", b"0.%s" % (b"1" * 500), b"{}", b'"\x7f"', b"1 2", b"null"]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(SPELLINGS, st.binary(max_size=8).filter(lambda value: b"\n" not in value)))
def test_what_is_told_to_be_no_json_is_refused_by_the_block_parser(value: bytes) -> None:
    line = Lines(b'{"z":' + value + b"}\n", 1)
    try:
        line.data.decode()
    except UnicodeDecodeError:
        return
    if json_fault(line.raw(0)) is not None:
        assert not is_readable(line, partial(parse_objects, schema={"a": pl.String()}))


def test_many_broken_lines_cost_few_looks_of_the_block_parser() -> None:
    looks: list[int] = []

    def readable(lines: Lines) -> bool:
        looks.append(lines.height)
        return is_readable(lines, parse)

    block = Lines((b"{x}\n" * 9 + b'{"a":1}\n') * 2_000, 1)
    broken = broken_lines(block, readable, json_fault)
    assert len(broken) == 18_000
    assert set(broken.values()) == {"no sound JSON: expecting property name enclosed in double quotes at character 2"}
    assert len(looks) < 100


def test_the_objects_of_a_head_are_those_that_are_sound() -> None:
    for data in (b'{"a":1}\nx\n[2]\n{"a":3}\n{"a"', b'[{"a":1}, 2, {"a":3}, {"a"'):
        assert list(objects_of(Head(data, complete=False))) == [{"a": 1}, {"a": 3}]
