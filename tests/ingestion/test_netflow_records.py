"""Records as columns."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.ingestion.exports import host

from cybersec_mlops.ingestion.netflow_records import (
    TOO_LARGE,
    Records,
    Run,
    connections,
    fixed_records,
    variable_records,
)
from cybersec_mlops.ingestion.netflow_templates import VARIABLE, template_of


def run_of(data: bytes, offset: int = 100, order: int = 0) -> Run:
    return Run(data, offset, order, 0, 0, -1, 0.0, "0", 9)


@given(st.integers(1, 16), st.binary(min_size=16, max_size=16))
def test_numbers_are_those_of_python(length: int, data: bytes) -> None:
    records = Records(np.frombuffer(data, np.uint8).reshape(1, -1), {"x": (0, length)}, np.zeros(1, np.int64), [], [])
    value = int.from_bytes(data[:length], "big")
    number = records.number("x")
    assert number is not None
    assert number.tolist() == [value if value < 1 << 63 else TOO_LARGE]
    assert records.number("y") is None


def test_runs_lie_side_by_side_with_their_places() -> None:
    template = template_of([(0, 8, 4), (0, 4, 1)])
    runs = [run_of(b"\x01" * 10), run_of(b"\x02" * 5 + b"\x00" * 3, 200, 1), run_of(b"\x03" * 9, 300, 2)]
    records = fixed_records(template, runs)
    assert records.offsets.tolist() == [100, 105, 200, 300]
    assert records.counts == [2, 1, 1]
    assert [(run.order, place, size) for run, place, size in records.broken] == [(2, 5, 4)]
    assert records.repeated(lambda run: run.order, np.int64).tolist() == [0, 0, 1, 2]


def test_fields_of_variable_length_are_walked_over() -> None:
    template = template_of([(0, 96, VARIABLE), (0, 8, 4), (0, 82, VARIABLE), (0, 4, 1)])
    data = b"\x02ab" + host("10.0.0.1") + b"\x00\x06" + b"\xff\x00\x03abc" + host("10.0.0.2") + b"\x01z\x11"
    records = variable_records(template, [run_of(data)])
    assert records.offsets.tolist() == [100, 109]
    protocol = records.number("protocol")
    assert protocol is not None
    assert protocol.tolist() == [6, 17]
    assert connections(records)["orig_h"].to_list() == ["10.0.0.1", "10.0.0.2"]


def test_a_record_of_variable_length_that_is_cut_off_is_told() -> None:
    template = template_of([(0, 96, VARIABLE), (0, 4, 1)])
    whole = b"\x02ab\x06"
    records = variable_records(template, [run_of(whole + b"\x50abcdef")])
    assert records.counts == [1]
    assert [(place, size) for _, place, size in records.broken] == [(4, 7)]


def test_no_record_is_no_row() -> None:
    template = template_of([(0, 8, 4), (0, 96, VARIABLE)])
    assert connections(variable_records(template, [run_of(b"")])).height == 0


def test_what_a_record_does_not_say_is_null() -> None:
    frame = connections(fixed_records(template_of([(0, 8, 4)]), [run_of(host("10.0.0.1"))]))
    said = {name for name in frame.columns if frame[name].null_count() == 0 and frame[name].dtype != pl.Boolean}
    assert said == {"raw_line", "order", "version", "export", "orig_h", "start", "run_sampling", "meta_netflow_source"}
